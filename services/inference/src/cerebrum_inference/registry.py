"""Which models are in memory, and how they get there: one load at a time, checked before llama.cpp sees a file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from cerebrum_inference import modelfile
from cerebrum_inference.llama import LlamaError
from cerebrum_inference.loaded import LlamaModel
from cerebrum_inference.manifest import Manifest, ModelRow
from cerebrum_inference.metrics import InferenceMetrics
from cerebrum_kit.errors import Internal, ModelNotFound, Overloaded
from cerebrum_kit.logs import get_logger

log = get_logger(__name__)
_MIB = 1024 * 1024

MakeModel = Callable[[ModelRow, Path], LlamaModel]


class ModelUnusable(Internal):
    """The manifest has the model, but its file cannot be used; the message says why."""

    code = "model_unusable"

    def __init__(self, message: str) -> None:
        super().__init__(message)


class ModelRegistry:
    """Loads on demand. Every method runs in the event loop; the work itself in a thread.

    Args:
        make: builds the loaded model from a row and its file.
        memory_needed: bytes that a row's model will take.
        available_memory: bytes that the machine can give now.
        reserve_bytes: what must stay free beside a model.
    """

    def __init__(
        self,
        manifest: Manifest,
        *,
        make: MakeModel,
        memory_needed: Callable[[ModelRow], int],
        metrics: InferenceMetrics,
        available_memory: Callable[[], int],
        reserve_bytes: int,
    ) -> None:
        assert manifest.store is not None
        self._rows = {row.id: row for row in manifest.models}
        self._store = manifest.store
        self._make = make
        self._memory_needed = memory_needed
        self._metrics = metrics
        self._available_memory = available_memory
        self._reserve = reserve_bytes
        self._models: dict[str, LlamaModel] = {}
        self._verified: dict[str, tuple[int, int, int]] = {}
        self._turn = asyncio.Lock()
        self._loads: dict[str, asyncio.Task[LlamaModel]] = {}

    @property
    def rows(self) -> tuple[ModelRow, ...]:
        return tuple(self._rows.values())

    def loaded(self) -> tuple[str, ...]:
        return tuple(self._models)

    def installed(self, row: ModelRow) -> bool:
        """Whether the model's file is in the store."""
        return (self._store / row.file).is_file()

    async def get(self, model: str) -> LlamaModel:
        """The model, loaded now if need be.

        Raises:
            ModelNotFound: not in the manifest, or its file is not in the store.
            ModelUnusable: the file is not what the manifest says, or llama.cpp refuses it.
            Overloaded: it does not fit the memory that is free.
        """
        row = self._rows.get(model)
        if row is None or not self.installed(row):
            there = ", ".join(one.id for one in self.rows if self.installed(one)) or "none"
            raise ModelNotFound(f"There is no model {model!r} here; installed are: {there}.", param="model")
        found = self._models.get(model)
        if found is not None:
            return found
        # The load belongs to the registry, not to who asked first: it goes on when that client leaves, and the next
        # one finds it under way instead of beginning another.
        load = self._loads.get(model)
        if load is None:
            load = self._loads[model] = asyncio.create_task(self._load(row))
            load.add_done_callback(lambda _: self._loads.pop(model, None))
            load.add_done_callback(lambda task: task.cancelled() or task.exception())  # nobody may be left to ask
        return await asyncio.shield(load)

    @asynccontextmanager
    async def use(self, model: str) -> AsyncIterator[LlamaModel]:
        """The model, loaded now if need be, and not unloaded while the block runs."""
        found = await self.get(model)
        while self._models.get(model) is not found:  # unloaded between its load's end and our turn
            found = await self.get(model)
        found.users += 1
        try:
            yield found
        finally:
            found.users -= 1

    async def unload(self, model: str) -> bool:
        async with self._turn:
            found = self._models.get(model)
            if found is None:
                return False
            if found.users:
                raise Overloaded(f"{model} is generating; it is not unloaded now.", retry_after=5)
            del self._models[model]
            await asyncio.to_thread(found.close)
            self._metrics.model_loaded.labels(model).set(0)
            log.info("model unloaded", model=model)
            return True

    async def close(self) -> None:
        await asyncio.gather(*self._loads.values(), return_exceptions=True)
        for model in list(self._models.values()):
            await asyncio.to_thread(model.close)
        self._models.clear()

    async def _load(self, row: ModelRow) -> LlamaModel:
        async with self._turn:  # one after the other: what is free is only known when the last one is in
            return await self._load_now(row)

    async def _load_now(self, row: ModelRow) -> LlamaModel:
        available, needed = self._available_memory(), self._memory_needed(row)
        if needed + self._reserve > available:
            raise Overloaded(
                f"{row.id} needs {needed // _MIB} MiB and {self._reserve // _MIB} MiB must stay free; "
                f"{available // _MIB} MiB are available.",
                retry_after=30,
            )
        started = time.monotonic()
        log.info("model loading", model=row.id, file=row.file)
        path = self._store / row.file
        try:
            await asyncio.to_thread(self._verify, row, path)
            model = await asyncio.to_thread(self._make, row, path)
        except (modelfile.ModelFileError, LlamaError) as exc:
            self._metrics.load_failures.labels(row.id).inc()
            log.error("model refused", model=row.id, reason=str(exc))
            raise ModelUnusable(f"The model {row.id} cannot be used: {exc}.") from exc
        seconds = time.monotonic() - started
        self._models[row.id] = model
        self._metrics.model_loaded.labels(row.id).set(1)
        self._metrics.load_seconds.labels(row.id).set(seconds)
        log.info("model loaded", model=row.id, seconds=round(seconds, 3), context=model.context)
        return model

    def _verify(self, row: ModelRow, path: Path) -> None:
        """Hashes a file once, and again when it was touched: 4 GB take seconds."""
        modelfile.check(row, path, verify_hash=False)
        stat = path.stat()
        stamp = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        if self._verified.get(row.id) != stamp:
            modelfile.check(row, path, verify_hash=True)
            self._verified[row.id] = stamp


def available_memory() -> int:
    """`MemAvailable` of this machine, in bytes."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/meminfo has no MemAvailable")
