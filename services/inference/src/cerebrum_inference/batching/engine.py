"""The engine as the API sees it: models, their workers, who is let in, and what the machine has to give."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass

from cerebrum_inference.batching.job import Job
from cerebrum_inference.batching.worker import Worker
from cerebrum_inference.engine import Generated, Generation, LoadedModel, SlotView
from cerebrum_inference.metrics import InferenceMetrics, Now
from cerebrum_inference.registry import ModelRegistry
from cerebrum_inference.scheduling.contention import CpuSample, ForeignCpu, ThreadGovernor, too_busy
from cerebrum_inference.scheduling.rates import seconds_to_wait
from cerebrum_inference.threads import in_thread
from cerebrum_kit.errors import CerebrumError, Overloaded
from cerebrum_kit.logs import get_logger

log = get_logger(__name__)
_LOOK_SECONDS = 0.5
_TIDY_EVERY = 4  # looks
_BUSY_RETRY_SECONDS = 5


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Limits of the engine.

    Attributes:
        slots: generations of one model that advance together.
        max_queue: generations that may wait for a model; max_queue_total: for all of them.
        queue_seconds: how long one may wait.
        foreign_cpu: share of the machine that others may use before new work is refused.
    """

    slots: int
    threads: int
    cores: int
    max_queue: int
    max_queue_total: int
    queue_seconds: float
    foreign_cpu: float


@dataclass(frozen=True, slots=True)
class Machine:
    """Where the engine looks to see how busy the machine is."""

    cpu: Callable[[], CpuSample]
    pressure: Callable[[], float | None]


class BatchEngine:
    """See `engine.Engine`. Every method runs in the event loop."""

    def __init__(
        self,
        registry: ModelRegistry,
        options: EngineOptions,
        *,
        metrics: InferenceMetrics,
        machine: Machine,
        stored_bytes: Callable[[], int],
    ) -> None:
        self._registry = registry
        self._options = options
        self._metrics = metrics
        self._machine = machine
        self._stored_bytes = stored_bytes
        self._foreign = ForeignCpu(options.cores)
        self._governor = ThreadGovernor(options.threads, options.cores)
        self._pressure: float | None = None
        metrics.now = self._now
        self._watch = asyncio.create_task(self._look())

    @property
    def waiting(self) -> int:
        """How many generations wait for a slot."""
        return sum(worker.waiting for worker in self._workers())

    def use(self, model: str, keep_alive: float | None = None) -> AbstractAsyncContextManager[LoadedModel]:
        return self._registry.use(model, keep_alive)

    async def unload(self, model: str) -> bool:
        return await self._registry.unload(model)

    def loaded(self) -> tuple[str, ...]:
        return self._registry.loaded()

    def slots(self) -> tuple[SlotView, ...]:
        return tuple(slot.view(worker.name) for worker in self._workers() for slot in worker.slots)

    def stuck(self) -> str | None:
        """What does not move though it should, or None."""
        now = time.monotonic()
        for worker in self._workers():
            seconds = worker.stuck(now)
            if seconds is not None:
                return f"model {worker.name} has computed nothing for {seconds:.0f} s though there is work"
        return None

    @asynccontextmanager
    async def generate(self, generation: Generation) -> AsyncIterator[Generated]:
        async with self._registry.use(generation.model) as model:
            job = Job(generation, queue_seconds=self._options.queue_seconds)
            self._enqueue(model.worker, job)
            try:
                yield job.items()
            finally:
                model.worker.cancel(job)
                await job.ended.wait()

    async def embed(self, model: str, texts: Sequence[Sequence[int]]) -> list[list[float]]:
        async with self._registry.use(model) as found:
            return [await in_thread(found.embedder.embed, text) for text in texts]

    async def close(self) -> None:
        self._watch.cancel()
        with suppress(asyncio.CancelledError):
            await self._watch
        await self._registry.close()

    def _workers(self) -> list[Worker]:
        return [model.worker for model in self._registry.models()]

    def admit(self) -> None:
        share = self._foreign.sustained_share
        if too_busy(share, self._pressure, self._options.foreign_cpu):
            self._metrics.refused("cpu")
            raise Overloaded(
                f"Other processes use {share:.0%} of this machine's processor; "
                f"new work is taken up to {self._options.foreign_cpu:.0%}.",
                retry_after=_BUSY_RETRY_SECONDS,
            )

    def _enqueue(self, worker: Worker, job: Job) -> None:
        options = self._options
        full = worker.busy >= options.slots and self.waiting >= options.max_queue_total
        displaced = job if full else worker.submit(job, max_queue=options.max_queue)
        if displaced is None:
            return
        wait = seconds_to_wait(worker.work_ahead(), worker.rates, options.slots)
        error = Overloaded(
            f"All {options.slots} slots of {worker.name} are busy and {worker.waiting} requests wait.", retry_after=wait
        )
        if displaced is job:
            self._metrics.refused("total_queue" if full else "queue")
            raise error
        self._metrics.refused("displaced")
        displaced.push(error)
        displaced.ended.set()

    def _now(self) -> Now:
        workers = self._workers()
        states = [slot.state for worker in workers for slot in worker.slots]
        tokens = {worker.name: worker.cells_used() for worker in workers}
        return Now(
            slots={state: states.count(state) for state in set(states)},
            queued={worker.name: worker.waiting for worker in workers},
            threads={worker.name: worker.threads for worker in workers},
            cells={worker.name: worker.cells for worker in workers},
            cells_live={name: live for name, (live, _) in tokens.items()},
            cells_idle={name: idle for name, (_, idle) in tokens.items()},
            available={row.id: self._registry.available(row) for row in self._registry.rows},
            stored_bytes=self._stored_bytes(),
            foreign_cores=self._foreign.cores,
            cpu_pressure=self._pressure or 0.0,
        )

    async def _look(self) -> None:
        """Watches the machine, twice a second."""
        looks, settled = 0, False
        while True:
            try:
                # What tries a new file is our own child, and is counted as ours only when it has ended.
                self._foreign.observe(self._machine.cpu(), known=not self._registry.loading)
                self._pressure = self._machine.pressure()
                before = self._governor.threads
                computing = any(worker.busy for worker in self._workers())
                foreign = self._foreign.cores if computing and settled else self._foreign.latest
                settled = computing
                threads = self._governor.decide(time.monotonic(), foreign, computing=computing)
                if threads != before and computing:
                    log.info("threads changed", threads=threads, foreign_cores=round(self._foreign.cores, 2))
                for worker in self._workers():
                    worker.threads = threads
                looks += 1
                if looks % _TIDY_EVERY == 0 and not self._registry.loading:  # it would wait for the load's end
                    await self._registry.tidy()
            except (CerebrumError, OSError) as exc:
                log.warning("a look at the machine failed", reason=str(exc))
            await asyncio.sleep(_LOOK_SECONDS)
