"""Admission in an event loop: requests wait here until the state machine lets them in."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from cerebrum_edge.guard.admission import Admission, Limits
from cerebrum_edge.metrics import EdgeMetrics
from cerebrum_edge.waits import Waits
from cerebrum_kit.errors import Overloaded


class Gate:
    def __init__(self, limits: Limits, *, metrics: EdgeMetrics, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._admission = Admission(limits)
        self._metrics = metrics
        self._clock = clock
        self._tickets = itertools.count()
        # Each waiter is told whether it was admitted (True) or has waited too long (False).
        self._waiters: dict[int, asyncio.Future[bool]] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def working(self) -> int:
        return self._admission.working

    @property
    def waiting(self) -> int:
        return self._admission.waiting

    @asynccontextmanager
    async def admitted(self, waits: Waits) -> AsyncIterator[None]:
        """Holds a place while the block runs.

        Args:
            waits: runs while there is none.

        Raises:
            Overloaded: the queue is full, or no place came free in time.
        """
        ticket, before = next(self._tickets), waits.seconds
        verdict = self._admission.arrive(ticket, self._clock())
        if verdict == "refused":
            raise self._refusal("queue_full", "The edge is busy and its queue is full.")
        try:
            if verdict == "queued":
                waits.begin()
                await self._wait(ticket)
                waits.end()
            self._count()
            self._metrics.queue_wait.observe(waits.seconds - before)
            yield
        finally:
            self._tell(self._admission.leave(ticket, self._clock()), admitted=True)
            self._count()

    async def _wait(self, ticket: int) -> None:
        waiter = self._waiters[ticket] = asyncio.get_running_loop().create_future()
        self._count()
        if self._timer is None:
            self._arm()
        try:
            admitted = await waiter
        finally:
            del self._waiters[ticket]
        if not admitted:
            seconds = self._limits.queue_timeout
            raise self._refusal("queue_timeout", f"No place came free within {seconds:g} seconds.")

    def _arm(self) -> None:
        """One timer for the whole queue. Deadlines are in its order, so the timer is early at worst, never late."""
        deadline = self._admission.next_deadline()
        self._timer = (
            None
            if deadline is None
            else asyncio.get_running_loop().call_later(max(0.0, deadline - self._clock()), self._expire)
        )

    def _expire(self) -> None:
        self._tell(self._admission.expire(self._clock()), admitted=False)
        self._arm()

    def _tell(self, tickets: Iterable[int], *, admitted: bool) -> None:
        for ticket in tickets:
            waiter = self._waiters.get(ticket)
            if waiter is not None and not waiter.done():
                waiter.set_result(admitted)

    def _refusal(self, reason: str, message: str) -> Overloaded:
        self._metrics.shed[reason].inc()
        return Overloaded(message, retry_after=self._admission.retry_after(self._clock()))

    def _count(self) -> None:
        self._metrics.working.set(self._admission.working)
        self._metrics.waiting.set(self._admission.waiting)
