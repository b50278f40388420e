"""Admission as a state machine: whatever arrives and leaves, the limits hold and nobody is forgotten."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from prometheus_client import CollectorRegistry

from cerebrum_edge.guard.admission import Admission, Limits
from cerebrum_edge.guard.gate import Gate
from cerebrum_edge.metrics import EdgeMetrics
from cerebrum_kit.errors import Overloaded

LIMITS = Limits(max_inflight=2, max_queue=3, queue_timeout=10)


class AdmissionMachine(RuleBasedStateMachine):
    """Against a plain model: a set that works and a list that waits."""

    def __init__(self) -> None:
        super().__init__()
        self.admission = Admission(LIMITS)
        self.working: set[int] = set()
        self.waiting: list[int] = []
        self.next, self.now = 0, 0.0

    @rule()
    def arrive(self) -> None:
        ticket, self.next = self.next, self.next + 1
        verdict = self.admission.arrive(ticket, self.now)
        if len(self.working) < 2 and not self.waiting:
            assert verdict == "admitted"
            self.working.add(ticket)
        elif len(self.waiting) < 3:
            assert verdict == "queued"
            self.waiting.append(ticket)
        else:
            assert verdict == "refused"

    @precondition(lambda self: self.working)
    @rule(data=st.data(), seconds=st.floats(0, 100))
    def finish(self, data: st.DataObject, seconds: float) -> None:
        ticket = data.draw(st.sampled_from(sorted(self.working)))
        self.now += seconds
        self.working.discard(ticket)
        self._expect(self.admission.leave(ticket, self.now))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(self.waiting))
        self.waiting.remove(ticket)
        self._expect(self.admission.leave(ticket, self.now))

    def _expect(self, admitted: list[int]) -> None:
        free = 2 - len(self.working)
        assert admitted == self.waiting[:free], "first come, first served, and no place stays empty"
        self.working |= set(admitted)
        del self.waiting[:free]

    @invariant()
    def limits_hold(self) -> None:
        assert self.admission.working == len(self.working) <= 2
        assert self.admission.waiting == len(self.waiting) <= 3
        assert self.admission.retry_after() >= 1


TestAdmission = AdmissionMachine.TestCase
TestAdmission.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_retry_after_follows_the_measured_rate() -> None:
    admission = Admission(Limits(1, 10, 10))
    for ticket in range(40):
        admission.arrive(ticket, ticket * 100.0)
        admission.leave(ticket, ticket * 100.0 + 20.0)
    assert admission.retry_after() == pytest.approx(20.0, rel=0.01)


def gate(queue_timeout: float = 10.0, max_queue: int = 1) -> Gate:
    metrics = EdgeMetrics(CollectorRegistry(), ["vps"])
    return Gate(Limits(1, max_queue, queue_timeout), metrics=metrics, clock=asyncio.get_running_loop().time)


async def test_gate_lets_the_next_one_in_when_one_leaves() -> None:
    one = gate()
    async with one.admitted():
        entered = asyncio.Event()

        async def second() -> None:
            async with one.admitted():
                entered.set()

        task = asyncio.create_task(second())
        await asyncio.sleep(0)
        assert (one.working, one.waiting, entered.is_set()) == (1, 1, False)
    await asyncio.wait_for(task, 5)
    assert (one.working, one.waiting) == (0, 0)


async def test_gate_refuses_when_the_queue_is_full_and_when_time_is_over() -> None:
    one = gate(queue_timeout=0.01)
    async with one.admitted():

        async def second() -> None:
            async with one.admitted():
                raise AssertionError("there is no place")

        task = asyncio.create_task(second())
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="queue is full"):
            await second()
        with pytest.raises(Overloaded, match=r"within 0\.01 seconds"):
            await task
    assert (one.working, one.waiting) == (0, 0)


async def test_client_that_leaves_the_queue_leaves_no_trace() -> None:
    one = gate()
    async with one.admitted():

        async def second() -> None:
            async with one.admitted():
                raise AssertionError("it left before")

        task = asyncio.create_task(second())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert one.waiting == 0
    async with one.admitted():
        assert one.working == 1
