"""The simple engine: every slot is a thread with a context of its own, and one of them computes at a time.

Slots take turns step by step, so two streams advance side by side without fighting over cores; they do not share a
batch. That is what a continuous-batching engine will add behind the same interface.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from cerebrum_inference.engine import (
    Finish,
    FinishReason,
    Generated,
    Generation,
    LoadedModel,
    Piece,
    SlotState,
    SlotView,
)
from cerebrum_inference.llama import Sampler
from cerebrum_inference.loaded import LlamaModel
from cerebrum_inference.metrics import InferenceMetrics
from cerebrum_inference.output import TextAssembler
from cerebrum_inference.registry import ModelRegistry
from cerebrum_inference.turns import Turns
from cerebrum_kit.errors import Internal, Overloaded
from cerebrum_kit.logs import get_logger

log = get_logger(__name__)


class _Cancelled(Exception):
    """The client of this job is gone."""


def _shutting_down() -> Overloaded:
    return Overloaded("The service is shutting down; try again.", retry_after=5)


class _Job:
    """One generation on its way: asked for in the event loop, worked on by a slot's thread."""

    def __init__(self, generation: Generation, model: LlamaModel, loop: asyncio.AbstractEventLoop) -> None:
        self.generation = generation
        self.model = model
        self.cancelled = False
        self.asked = time.monotonic()
        self._loop = loop
        self.items: asyncio.Queue[Piece | Finish | Exception] = asyncio.Queue()
        self.ended = asyncio.Event()

    def emit(self, item: Piece | Finish | Exception) -> None:
        """Called by the slot's thread."""
        self._loop.call_soon_threadsafe(self.items.put_nowait, item)

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self.ended.set)


class _Slot:
    def __init__(self, number: int) -> None:
        self.number = number
        self.state: SlotState = "idle"
        self.job: _Job | None = None
        self.cached = 0
        self.generated = 0


class SimpleEngine:
    """See `engine.Engine`.

    Args:
        slots: how many generations advance at a time.
        max_queue: how many more may wait.
    """

    def __init__(self, registry: ModelRegistry, *, slots: int, max_queue: int, metrics: InferenceMetrics) -> None:
        self._registry = registry
        self._metrics = metrics
        self._max_queue = max_queue
        self._turns = Turns()
        self._waiting: deque[_Job] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._mean_seconds = 5.0
        self._slots = [_Slot(number) for number in range(slots)]
        metrics.slots.labels("idle").set(slots)
        self._threads = [
            threading.Thread(target=self._work, args=(slot,), name=f"slot-{slot.number}", daemon=True)
            for slot in self._slots
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """How many generations wait for a slot."""
        return len(self._waiting)

    def use(self, model: str) -> AbstractAsyncContextManager[LoadedModel]:
        return self._registry.use(model)

    async def unload(self, model: str) -> bool:
        return await self._registry.unload(model)

    def loaded(self) -> tuple[str, ...]:
        return self._registry.loaded()

    def slots(self) -> tuple[SlotView, ...]:
        views = []
        for slot in self._slots:
            job = slot.job
            if job is None:
                views.append(SlotView(slot.number, "idle", None, None, 0, 0, 0))
            else:
                asked = job.generation
                views.append(
                    SlotView(
                        slot.number,
                        slot.state,
                        asked.model,
                        asked.request_id,
                        len(asked.prompt),
                        slot.cached,
                        slot.generated,
                    )
                )
        return tuple(views)

    @asynccontextmanager
    async def generate(self, generation: Generation) -> AsyncIterator[Generated]:
        async with self._registry.use(generation.model) as model:
            job = _Job(generation, model, asyncio.get_running_loop())
            self._enqueue(job)
            try:
                yield self._items(job)
            finally:
                job.cancelled = True
                with self._wake:
                    if job in self._waiting:
                        self._waiting.remove(job)
                        job.ended.set()
                        self._metrics.queue.set(len(self._waiting))
                await job.ended.wait()

    async def close(self) -> None:
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)
        await self._registry.close()

    async def _items(self, job: _Job) -> Generated:
        while True:
            item = await job.items.get()
            if isinstance(item, Exception):
                raise item
            yield item
            if isinstance(item, Finish):
                return

    def _enqueue(self, job: _Job) -> None:
        with self._wake:
            busy = sum(slot.job is not None for slot in self._slots)
            ahead = len(self._waiting)
            if ahead >= self._max_queue and busy + ahead >= len(self._slots):
                self._metrics.refused.inc()
                wait = self._mean_seconds * (ahead + 1) / len(self._slots)
                raise Overloaded(f"All {len(self._slots)} slots are busy and {ahead} requests wait.", retry_after=wait)
            self._waiting.append(job)
            self._metrics.queue.set(len(self._waiting))
            self._wake.notify()

    def _work(self, slot: _Slot) -> None:
        """A slot's thread."""
        while True:
            with self._wake:
                while not self._waiting and not self._closing:
                    self._wake.wait()
                if self._closing:
                    for left in self._waiting:
                        left.emit(_shutting_down())
                        left.end()
                    self._waiting.clear()
                    return
                job = self._waiting.popleft()
                slot.job, slot.cached, slot.generated = job, 0, 0
                self._metrics.queue.set(len(self._waiting))
            try:
                job.emit(self._generate(slot, job))
            except _Cancelled:
                log.info("generation cancelled", generated=slot.generated, request_id=job.generation.request_id)
                job.emit(_shutting_down())  # nobody listens unless it was the service that stopped
            except Exception:
                log.exception("generation failed", request_id=job.generation.request_id)
                job.emit(Internal())
            finally:
                self._move(slot, "idle")
                slot.job = None
                self._mean_seconds += 0.2 * (time.monotonic() - job.asked - self._mean_seconds)
                job.end()

    def _generate(self, slot: _Slot, job: _Job) -> Finish:
        asked, model, names = job.generation, job.model, job.generation.model
        held, prompt = model.slots[slot.number], list(job.generation.prompt)
        self._move(slot, "prefill")
        started = time.monotonic()
        slot.cached = held.reuse(prompt)
        for at in range(slot.cached, len(prompt), held.context.batch):
            with self._turns:
                self._check(job)
                held.append(prompt[at : at + held.context.batch])
        self._metrics.prompt_tokens.labels(names, "cached").inc(slot.cached)
        self._metrics.prompt_tokens.labels(names, "computed").inc(len(prompt) - slot.cached)
        self._move(slot, "decode")
        decoding = time.monotonic()
        sampler = Sampler(model.model, asked.sampling, random_seed=secrets.randbits(32))
        try:
            reason = self._decode(slot, job, sampler)
        finally:
            sampler.close()
            self._metrics.generated_tokens.labels(names).inc(slot.generated)
        ended = time.monotonic()
        finish = Finish(reason, len(prompt), slot.cached, slot.generated, decoding - started, ended - decoding)
        self._metrics.tokens_per_second.labels(names).set(finish.tokens_per_second)
        return finish

    def _decode(self, slot: _Slot, job: _Job, sampler: Sampler) -> FinishReason:
        asked, model, held = job.generation, job.model, job.model.slots[slot.number]
        room = min(asked.max_tokens, model.context - len(asked.prompt))
        text = TextAssembler(asked.stop)
        while True:
            token = held.context.sample(sampler)
            if model.model.is_end(token):
                break
            slot.generated += 1
            if slot.generated == 1:
                self._metrics.ttft.labels(asked.model).observe(time.monotonic() - job.asked)
            job.emit(Piece(text.feed(model.model.piece(token)), (token,)))
            if text.stopped:
                return "stop"
            if slot.generated >= room:
                self._emit_rest(job, text)
                return "stop" if text.stopped else "length"
            with self._turns:
                self._check(job)
                held.append((token,))
        self._emit_rest(job, text)
        return "stop"

    @staticmethod
    def _emit_rest(job: _Job, text: TextAssembler) -> None:
        rest = text.finish()
        if rest:
            job.emit(Piece(rest, ()))

    def _check(self, job: _Job) -> None:
        if job.cancelled or self._closing:
            raise _Cancelled

    def _move(self, slot: _Slot, state: SlotState) -> None:
        self._metrics.slots.labels(slot.state).dec()
        self._metrics.slots.labels(state).inc()
        slot.state = state
