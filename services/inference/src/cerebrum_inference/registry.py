"""Which models are in memory, and how they get there: one load at a time, checked before llama.cpp sees a file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cerebrum_inference import residency
from cerebrum_inference.gguf.header import Header
from cerebrum_inference.llama import LlamaError
from cerebrum_inference.loaded import LlamaModel
from cerebrum_inference.manifest import Manifest, ModelRow
from cerebrum_inference.metrics import InferenceMetrics
from cerebrum_inference.modelfile import ModelFileError
from cerebrum_inference.residency import Resident
from cerebrum_inference.verifier import Verifier
from cerebrum_kit.errors import ModelNotFound, ModelUnusable, Overloaded
from cerebrum_kit.logs import get_logger

log = get_logger(__name__)
_MIB = 1024 * 1024
_RETRY_LOAD_SECONDS = 30

Progress = Callable[[float], None]
MakeModel = Callable[[ModelRow, Path, Progress], LlamaModel]
UnloadReason = Literal["asked", "idle", "room", "pressure", "shutdown"]


@dataclass(frozen=True, slots=True)
class ModelState:
    """What a listing shows of a model.

    Attributes:
        state: `unloaded`, `loading`, `loaded` or `unusable`.
        progress: 0..1 of a load.
        reason: why it is unusable.
        size: bytes of memory that it takes.
        expires_in: seconds until it is unloaded if nobody uses it; None for never, or while it is in use.
    """

    state: Literal["unloaded", "loading", "loaded", "unusable"]
    progress: float = 0.0
    reason: str | None = None
    size: int = 0
    expires_in: float | None = None


@dataclass(slots=True)
class _Entry:
    """A model in memory."""

    model: LlamaModel
    size: int
    used: float
    expires: float | None
    users: int = 0
    closing: bool = False


class ModelRegistry:
    """Loads on demand. Every method runs in the event loop; the work itself in a thread.

    Args:
        make: builds the loaded model from a row, its file and what is told of the progress.
        verifier: says what a file is before llama.cpp sees it.
        memory_needed: bytes that a model will take, from its row and its file's header.
        available_memory: bytes that the machine can give now.
        own_memory: bytes that this process has, for learning what a load really took.
        reserve_bytes: what must stay free beside a model.
        idle_seconds: how long an unused model stays; `residency.FOREVER` for ever.
    """

    def __init__(
        self,
        manifest: Manifest,
        *,
        make: MakeModel,
        verifier: Verifier,
        metrics: InferenceMetrics,
        available_memory: Callable[[], int],
        own_memory: Callable[[], int],
        memory_needed: Callable[[ModelRow, Header], int],
        reserve_bytes: int,
        idle_seconds: float = residency.FOREVER,
    ) -> None:
        assert manifest.store is not None
        self._rows = {row.id: row for row in manifest.models}
        self._store = manifest.store
        self._make = make
        self._verifier = verifier
        self._memory_needed = memory_needed
        self._metrics = metrics
        self._available_memory = available_memory
        self._own_memory = own_memory
        self._reserve = reserve_bytes
        self._idle_seconds = idle_seconds
        self._entries: dict[str, _Entry] = {}
        self._learned: dict[str, int] = {}
        self._unusable: dict[str, str] = {}
        self._refused: dict[str, tuple[int, int, int] | None] = {}
        self._progress: dict[str, float] = {}
        self._known = {row.id for row in manifest.models if self.installed(row)}
        self._turn = asyncio.Lock()
        self._loads: dict[str, asyncio.Task[LlamaModel]] = {}

    @property
    def rows(self) -> tuple[ModelRow, ...]:
        return tuple(self._rows.values())

    def loaded(self) -> tuple[str, ...]:
        return tuple(self._entries)

    @property
    def loading(self) -> bool:
        """Whether a model is on its way into memory."""
        return bool(self._loads)

    def models(self) -> tuple[LlamaModel, ...]:
        """The models in memory."""
        return tuple(entry.model for entry in self._entries.values())

    def installed(self, row: ModelRow) -> bool:
        """Whether the model's file is in the store."""
        return (self._store / row.file).is_file()

    def available(self, row: ModelRow) -> bool:
        """Whether the model's file is in the store, and is another than the one that was refused last."""
        stamp = _stamp(self._store / row.file)
        return stamp is not None and stamp != self._refused.get(row.id)

    def state(self, model: str) -> ModelState:
        if model in self._loads and model not in self._entries:
            return ModelState("loading", progress=self._progress.get(model, 0.0))
        entry = self._entries.get(model)
        if entry is None:
            reason = self._unusable.get(model)
            return ModelState("unloaded") if reason is None else ModelState("unusable", reason=reason)
        left = None if entry.users or entry.expires is None else max(0.0, entry.expires - time.monotonic())
        return ModelState("loaded", 1.0, None, entry.size, left)

    async def get(self, model: str) -> LlamaModel:
        """The model, loaded now if need be.

        Raises:
            ModelNotFound: not in the manifest, or its file was never in the store.
            ModelUnusable: the file is gone, is not what the manifest says, or llama.cpp refuses it.
            Overloaded: it does not fit the memory that is free.
        """
        row = self._row(model)
        entry = self._entries.get(model)
        if entry is not None and not entry.closing:
            return entry.model
        # The load belongs to the registry, not to who asked first: it goes on when that client leaves, and the next
        # one finds it under way instead of beginning another.
        load = self._loads.get(model)
        if load is None:
            load = self._loads[model] = asyncio.create_task(self._load(row))
            load.add_done_callback(lambda _: self._loads.pop(model, None))
            load.add_done_callback(lambda task: task.cancelled() or task.exception())  # nobody may be left to ask
        return await asyncio.shield(load)

    @asynccontextmanager
    async def use(self, model: str, keep_alive: float | None = None) -> AsyncIterator[LlamaModel]:
        """The model, loaded now if need be, and not unloaded while the block runs.

        Args:
            keep_alive: seconds that it shall stay afterwards, see `residency.expiry`.
        """
        found = await self.get(model)
        while (entry := self._entries.get(model)) is None or entry.model is not found or entry.closing:
            found = await self.get(model)  # unloaded between its load's end and our turn
        entry.users += 1
        try:
            yield found
        finally:
            entry.users -= 1
            entry.used = time.monotonic()
            row = self._rows[model]
            entry.expires = residency.expiry(entry.used, keep_alive, self._idle(row), pinned=row.pinned)

    async def unload(self, model: str, reason: UnloadReason = "asked") -> bool:
        """Frees a model; False where it was not loaded. Raises ModelNotFound, or Overloaded while it generates."""
        self._row(model)
        async with self._turn:
            return await self._unload_now(model, reason)

    async def tidy(self) -> None:
        """Unloads what nobody used for long, and what the machine needs the memory of."""
        for model in residency.expired(time.monotonic(), self._residents()):
            await self._unload_if_idle(model, "idle")
        short = residency.under_pressure(self._available_memory(), self._reserve, self._residents())
        if short is not None:
            await self._unload_if_idle(short, "pressure")

    async def close(self) -> None:
        await asyncio.gather(*self._loads.values(), return_exceptions=True)
        async with self._turn:
            for model in list(self._entries):
                await asyncio.to_thread(self._entries.pop(model).model.close)
                self._metrics.unloaded(model, "shutdown")

    def _row(self, model: str) -> ModelRow:
        row = self._rows.get(model)
        if row is None or not (model in self._known or self.installed(row)):
            there = ", ".join(one.id for one in self.rows if self.installed(one)) or "none"
            raise ModelNotFound(f"There is no model {model[:64]!r} here; installed are: {there}.", param="model")
        return row

    async def _unload_if_idle(self, model: str, reason: UnloadReason) -> None:
        entry = self._entries.get(model)
        if entry is not None and not entry.users:
            await self.unload(model, reason)

    async def _unload_now(self, model: str, reason: UnloadReason) -> bool:
        entry = self._entries.get(model)
        if entry is None:
            return False
        if entry.users:
            raise Overloaded(f"{model} is generating; it is not unloaded now.", retry_after=5)
        entry.closing = True
        await asyncio.to_thread(entry.model.close)
        del self._entries[model]
        self._metrics.unloaded(model, reason)
        log.info("model unloaded", model=model, reason=reason)
        return True

    def _idle(self, row: ModelRow) -> float:
        minutes = row.idle_unload_minutes
        return self._idle_seconds if minutes is None else minutes * 60 if minutes >= 0 else residency.FOREVER

    def _residents(self) -> list[Resident]:
        return [
            Resident(name, one.size, one.used, not one.users and not one.closing, self._rows[name].pinned, one.expires)
            for name, one in self._entries.items()
        ]

    async def _load(self, row: ModelRow) -> LlamaModel:
        async with self._turn:  # one after the other: what is free is only known when the last one is in
            entry = self._entries.get(row.id)
            return entry.model if entry is not None else await self._load_now(row)

    async def _load_now(self, row: ModelRow) -> LlamaModel:
        started = time.monotonic()
        path = self._store / row.file
        self._progress[row.id] = 0.0
        try:
            header = await asyncio.to_thread(self._verifier.verify, row, path)
            needed = self._learned.get(row.id) or self._memory_needed(row, header)
            await self._make_room(row, needed)
            log.info("model loading", model=row.id, file=row.file, needed_mib=needed // _MIB)
            before = self._own_memory()

            def progress(value: float) -> None:
                self._progress[row.id] = value

            model = await asyncio.to_thread(self._make, row, path, progress)
        except (ModelFileError, LlamaError) as exc:
            self._metrics.load_failed(row.id)
            self._unusable[row.id], self._refused[row.id] = str(exc), _stamp(path)
            log.error("model refused", model=row.id, reason=str(exc))
            raise ModelUnusable(f"The model {row.id} cannot be used: {exc}.", retry_after=_RETRY_LOAD_SECONDS) from exc
        size = max(0, self._own_memory() - before)
        self._learned[row.id] = size or needed
        self._unusable.pop(row.id, None)
        self._refused.pop(row.id, None)
        self._known.add(row.id)
        now = time.monotonic()
        expires = residency.expiry(now, None, self._idle(row), pinned=row.pinned)
        self._entries[row.id] = _Entry(model, size, now, expires)
        self._metrics.loaded(row.id, now - started, size)
        log.info("model loaded", model=row.id, seconds=round(now - started, 3), mib=size // _MIB, context=model.context)
        return model

    async def _make_room(self, row: ModelRow, needed: int) -> None:
        available = self._available_memory()
        victims = residency.make_room(needed, available, self._reserve, self._residents())
        if victims is None:
            self._metrics.refused("memory")
            raise Overloaded(
                f"{row.id} needs {needed // _MIB} MiB and {self._reserve // _MIB} MiB must stay free; "
                f"{available // _MIB} MiB are available.",
                retry_after=_RETRY_LOAD_SECONDS,
            )
        for victim in victims:
            await self._unload_now(victim, "room")


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
