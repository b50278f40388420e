"""The inference engine over real llama.cpp and the shipped model, for tests that need no HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from cerebrum_inference import app
from cerebrum_inference.batching.engine import BatchEngine
from cerebrum_inference.batching.stats import ModelStats
from cerebrum_inference.batching.worker import Worker
from cerebrum_inference.engine import Finish, Generation, LoadedModel, Piece, Sampling, TokenLogprob
from cerebrum_inference.manifest import Manifest, ModelRow
from cerebrum_inference.metrics import InferenceMetrics
from cerebrum_inference.registry import ModelRegistry
from cerebrum_inference.settings import InferenceSettings

GREEDY = Sampling(temperature=0, ignore_eos=True)
LONG = 16384  # far beyond what the model was trained on: for streams that last
_SECONDS = 30.0
_DEFAULTS = {
    "slots": 2,
    "threads": 1,
    "max_queue": 64,
    "max_queue_total": 64,
    "max_context": LONG,
    "reserve_mib": 0,
    "max_cpu_percent": 100,
}


def model_row(path: Path, **change: object) -> ModelRow:
    facts: dict[str, object] = {
        "id": "tiny",
        "name": "Tiny",
        "file": path.name,
        "size_bytes": path.stat().st_size,
        "ram_bytes": 1,
        "kv_bytes_per_token": 1,
        "context": LONG,
        "licence": "PSF-2.0",
    }
    return ModelRow.model_validate({**facts, **change})


@dataclass(frozen=True, slots=True)
class Served:
    """An engine with its parts."""

    engine: BatchEngine
    registry: ModelRegistry
    metrics: InferenceMetrics

    def stats(self, model: str = "tiny") -> ModelStats:
        return self.metrics.stats[model]

    def worker(self, model: str = "tiny") -> Worker:
        """The thread of a model that is loaded."""
        return next(one.worker for one in self.registry.models() if one.row.id == model)

    def idle(self, model: str = "tiny") -> bool:
        """Whether a loaded model has nothing at all to do."""
        worker = self.worker(model)
        return worker.busy == worker.waiting == 0 and all(slot.state == "idle" for slot in self.engine.slots())

    async def model(self, model: str = "tiny") -> LoadedModel:
        async with self.engine.use(model) as found:
            return found


def make_engine(manifest: Manifest, **changes: Any) -> Served:
    """An engine as the service makes it; to be called in a running event loop.

    Args:
        changes: to the settings.
    """
    settings = InferenceSettings(**{**_DEFAULTS, **changes})
    metrics = InferenceMetrics(CollectorRegistry(), [one.id for one in manifest.models])
    engine, registry = app.make_engine(settings, manifest, metrics)
    return Served(engine, registry, metrics)


@asynccontextmanager
async def serving(path: Path, *rows: ModelRow, **changes: Any) -> AsyncIterator[Served]:
    """An engine that is closed at the end of the block.

    Args:
        path: the model's file; the store is where it is.
        rows: of the manifest; without any, one row for the file.
        changes: to the settings.
    """
    served = make_engine(Manifest(store=path.parent, models=rows or (model_row(path),)), **changes)
    try:
        yield served
    finally:
        await served.engine.close()


@dataclass(frozen=True, slots=True)
class Answer:
    text: str
    tokens: tuple[int, ...]
    finish: Finish
    logprobs: tuple[TokenLogprob, ...]


async def ask(served: Served, prompt: str | Sequence[int], count: int = 32, **more: Any) -> Answer:
    """One generation to its end; greedy where nothing else is said."""
    name = more.pop("model", "tiny")
    if isinstance(prompt, str):
        prompt = (await served.model(name)).tokenize(prompt)
    asked = Generation(name, prompt, count, more.pop("sampling", GREEDY), **more)
    pieces: list[Piece] = []
    async with served.engine.generate(asked) as items:
        async for item in items:
            if isinstance(item, Finish):
                return Answer(
                    "".join(piece.text for piece in pieces),
                    tuple(token for piece in pieces for token in piece.tokens),
                    item,
                    tuple(one for piece in pieces for one in piece.logprobs),
                )
            pieces.append(item)
    raise AssertionError("no Finish")


@asynccontextmanager
async def streaming(
    served: Served, prompt: str | Sequence[int] = "x = ", count: int = LONG, **more: Any
) -> AsyncIterator[None]:
    """A generation that has given its first piece, and runs while the block does."""
    if isinstance(prompt, str):
        prompt = (await served.model()).tokenize(prompt)
    generation = Generation("tiny", prompt, count, GREEDY)
    async with served.engine.generate(replace(generation, **more)) as items:
        reading = asyncio.create_task(_read(items, first := asyncio.Event()))
        await first.wait()
        try:
            yield
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def _read(items: AsyncIterator[Piece | Finish], first: asyncio.Event) -> None:
    async for _ in items:
        first.set()


async def until(condition: Callable[[], object], what: str) -> None:
    """Lets everything go on until a state is reached that nobody announces."""
    give_up = asyncio.get_running_loop().time() + _SECONDS
    while not condition():
        assert asyncio.get_running_loop().time() < give_up, f"not within {_SECONDS:g} s: {what}"
        await asyncio.sleep(0.002)
