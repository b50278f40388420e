"""What the native and the OpenAI routes share: defaults, limits, and the way from a request to a generation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import Field

from cerebrum_inference.engine import Engine, Finish, Generation, LoadedModel, Piece, Sampling
from cerebrum_inference.manifest import ModelRow
from cerebrum_inference.registry import ModelRegistry
from cerebrum_kit.errors import PromptTooLarge
from cerebrum_kit.lifecycle import Lifecycle
from cerebrum_kit.request_id import current_request_id
from cerebrum_kit.text import RequestModel, Stop

DEFAULT_MAX_TOKENS = 256
_DEFAULT = Sampling()


@dataclass(frozen=True, slots=True)
class Resources:
    """What the routes work with; made by the lifespan, found in `request.state`."""

    engine: Engine
    registry: ModelRegistry
    lifecycle: Lifecycle
    default_model: str


def _resources(request: Request) -> Resources:
    resources: Resources = request.state.resources
    return resources


Deps = Annotated[Resources, Depends(_resources)]


class SamplingFields(RequestModel):
    """Fields that every way to ask for text has in common."""

    temperature: float = Field(_DEFAULT.temperature, ge=0, le=2)
    top_p: float = Field(_DEFAULT.top_p, gt=0, le=1)
    top_k: int = Field(_DEFAULT.top_k, ge=0, le=1000)
    min_p: float = Field(_DEFAULT.min_p, ge=0, le=1)
    presence_penalty: float = Field(0.0, ge=-2, le=2)
    frequency_penalty: float = Field(0.0, ge=-2, le=2)
    repeat_penalty: float = Field(1.0, ge=0.5, le=2)
    seed: int | None = Field(None, ge=0, le=2**63 - 1)
    stop: Stop | None = None

    def sampling(self) -> Sampling:
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            min_p=self.min_p,
            repeat_penalty=self.repeat_penalty,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            seed=self.seed,
        )


def generation(model: LoadedModel, prompt: Sequence[int], fields: SamplingFields, max_tokens: int | None) -> Generation:
    """A generation for the engine.

    Raises:
        PromptTooLarge: the prompt leaves no room for an answer in the model's context.
    """
    if len(prompt) >= model.context:
        raise PromptTooLarge(
            f"The prompt has {len(prompt)} tokens; {model.row.id} holds {model.context}, the answer included.",
            param="prompt",
        )
    return Generation(
        model=model.row.id,
        prompt=prompt,
        max_tokens=max_tokens or model.context,
        sampling=fields.sampling(),
        stop=fields.stop or (),
        request_id=current_request_id.get(),
    )


Prepare = Callable[[LoadedModel], Generation]


@asynccontextmanager
async def prepared(deps: Resources, model: str | None, prepare: Prepare) -> AsyncIterator[Generation]:
    """A request made ready: its model loaded and kept, its prompt tokenized.

    In a thread: a tokenizer takes a tenth of a second for a large prompt, and seconds for a hostile one.
    """
    async with deps.engine.use(model or deps.default_model) as loaded:
        yield await asyncio.to_thread(prepare, loaded)


@dataclass(frozen=True, slots=True)
class Result:
    text: str
    finish: Finish


async def collect(engine: Engine, asked: Generation) -> Result:
    """Runs a generation to its end."""
    parts: list[str] = []
    async with engine.generate(asked) as items:
        async for item in items:
            if isinstance(item, Finish):
                return Result("".join(parts), item)
            parts.append(item.text)
    raise AssertionError("an engine's stream ends with Finish")


async def pieces_with_text(items: AsyncIterator[Piece | Finish]) -> AsyncIterator[tuple[Piece | Finish, int]]:
    """The items that a client sees, each with the number of tokens so far; a piece without text is only counted."""
    total = 0
    async for item in items:
        if isinstance(item, Piece):
            total += len(item.tokens)
            if not item.text:
                continue
        yield item, total


def describe(row: ModelRow, *, loaded: bool) -> dict[str, Any]:
    """A model as the native listing shows it."""
    return {
        "id": row.id,
        "name": row.name,
        "languages": list(row.languages),
        "context": row.context,
        "loaded": loaded,
        "fallback": row.fallback,
        "licence": row.licence,
    }
