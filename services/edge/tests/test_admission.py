"""Admission as a state machine: whatever arrives and leaves, the limits hold and nobody is forgotten."""

from __future__ import annotations

import asyncio
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from prometheus_client import CollectorRegistry

from cerebrum_edge.guard.admission import Admission, Limits
from cerebrum_edge.guard.gate import Gate
from cerebrum_edge.metrics import EdgeMetrics
from cerebrum_edge.waits import Waits
from cerebrum_kit.errors import Overloaded

LIMITS = Limits(max_inflight=2, max_queue=3, queue_timeout=10)


class AdmissionMachine(RuleBasedStateMachine):
    """Against a plain model: a set that works and a list that waits, each with the time since when."""

    def __init__(self) -> None:
        super().__init__()
        self.admission = Admission(LIMITS)
        self.working: set[int] = set()
        self.waiting: list[tuple[int, int]] = []
        self.gone: set[int] = set()
        self.next, self.now = 0, 0

    @rule(seconds=st.integers(1, 6))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def arrive(self) -> None:
        ticket, self.next = self.next, self.next + 1
        verdict = self.admission.arrive(ticket, self.now)
        if len(self.working) < 2:
            assert verdict == "admitted"
            self.working.add(ticket)
        elif len(self.waiting) < 3:
            assert verdict == "queued"
            self.waiting.append((ticket, self.now))
        else:
            assert verdict == "refused"
            self.gone.add(ticket)

    @precondition(lambda self: self.working)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(sorted(self.working)))
        self.working.discard(ticket)
        self.gone.add(ticket)
        admitted = self.admission.leave(ticket, self.now)
        first = [waiting for waiting, _ in self.waiting[:1]]
        assert admitted == first, "first come, first served, and no place stays empty"
        self.working |= set(first)
        del self.waiting[:1]

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        pair = data.draw(st.sampled_from(self.waiting))
        self.waiting.remove(pair)
        self.gone.add(pair[0])
        assert self.admission.leave(pair[0], self.now) == []

    @precondition(lambda self: self.gone)
    @rule(data=st.data())
    def leave_again(self, data: st.DataObject) -> None:
        assert self.admission.leave(data.draw(st.sampled_from(sorted(self.gone))), self.now) == []

    @rule()
    def expire(self) -> None:
        late = [ticket for ticket, since in self.waiting if self.now - since >= 10]
        assert self.admission.expire(self.now) == late
        self.waiting = [pair for pair in self.waiting if pair[0] not in late]
        self.gone |= set(late)

    @invariant()
    def limits_hold_and_nobody_is_lost(self) -> None:
        assert self.admission.working == len(self.working) <= 2
        assert self.admission.waiting == len(self.waiting) <= 3
        assert len(self.working) + len(self.waiting) + len(self.gone) == self.next
        assert self.admission.next_deadline() == min((since + 10 for _, since in self.waiting), default=None)
        assert 1 <= self.admission.retry_after(self.now) <= 600


TestAdmission = AdmissionMachine.TestCase
TestAdmission.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)


def measured(seconds: float, *, places: int = 1) -> Admission:
    """One that has seen many requests of so many seconds and is idle at time 0."""
    admission = Admission(Limits(places, 100, 1000))
    for ticket in range(-60, 0):
        admission.arrive(ticket, ticket * 1000.0)
        admission.leave(ticket, ticket * 1000.0 + seconds)
    return admission


@pytest.mark.parametrize(
    ("places", "arrivals", "now", "seconds"),
    [
        (1, [], 0, 1),  # a place is free
        (2, [0], 0, 1),
        (1, [0], 0, 20),
        (1, [0], 15, 5),  # what has been done of the work in hand counts
        (1, [0], 19.9, 1),  # no less than a second
        (1, [0], 20 + 30, 30),  # as long again as it is late
        (1, [0, 0, 0], 15, 45),
        (1, [0] * 50, 15, 600),  # and ten minutes at most
        (2, [0, 10], 15, 5),
        (2, [0, 10, 12], 15, 15),
        (2, [0, 10, 12, 13], 15, 25),
        (3, [0, 0, 0, 0, 0, 0], 0, 40),
    ],
)
def test_retry_after_is_the_measured_time_by_the_place_in_the_queue(
    places: int, arrivals: list[float], now: float, seconds: float
) -> None:
    admission = measured(20.0, places=places)
    for ticket, at in enumerate(arrivals):
        admission.arrive(ticket, at)
    assert admission.retry_after(now) == pytest.approx(seconds, rel=0.01)


def test_retry_after_has_a_figure_before_anything_is_measured_and_turns_with_what_is() -> None:
    admission = Admission(Limits(1, 0, 10))
    told = []
    for ticket in range(6):
        admission.arrive(ticket, ticket * 100.0)
        told.append(admission.retry_after(ticket * 100.0))
        admission.leave(ticket, ticket * 100.0 + 30.0)
    assert told[0] == 5.0
    assert told == sorted(told)
    assert 20 < told[-1] < 30


@given(st.lists(st.floats(0, 10), min_size=1, max_size=30), st.integers(1, 4))
def test_one_more_in_the_queue_makes_nobodys_wait_shorter(pauses: list[float], places: int) -> None:
    admission, now = measured(3.0, places=places), 0.0
    for ticket, pause in enumerate(pauses):
        now += pause
        before = admission.retry_after(now)
        admission.arrive(ticket, now)
        assert admission.retry_after(now) >= before


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0, 1, 1), "max_inflight is 0; it has to be at least 1."),
        ((1, -1, 1), "max_queue is -1; it has to be at least 0."),
        ((1, 1, -1), "queue_timeout is -1; it has to be at least 0."),
    ],
)
def test_limits_name_what_is_wrong_with_them(values: tuple[int, int, float], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Limits(*values)


def gate(queue_timeout: float = 10.0, max_queue: int = 1) -> Gate:
    metrics = EdgeMetrics(CollectorRegistry(), ["vps"])
    return Gate(Limits(1, max_queue, queue_timeout), metrics=metrics, clock=asyncio.get_running_loop().time)


def stopwatch() -> Waits:
    return Waits(asyncio.get_running_loop().time)


async def test_gate_lets_the_next_one_in_when_one_leaves() -> None:
    one = gate()
    async with one.admitted(stopwatch()):
        entered = asyncio.Event()

        async def second() -> None:
            async with one.admitted(stopwatch()):
                entered.set()

        task = asyncio.create_task(second())
        await asyncio.sleep(0)
        assert (one.working, one.waiting, entered.is_set()) == (1, 1, False)
    await asyncio.wait_for(task, 5)
    assert (one.working, one.waiting) == (0, 0)


async def test_gate_refuses_when_the_queue_is_full_and_when_time_is_over() -> None:
    one = gate(queue_timeout=0.01)
    async with one.admitted(stopwatch()):

        async def second() -> None:
            async with one.admitted(stopwatch()):
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
    async with one.admitted(stopwatch()):

        async def second() -> None:
            async with one.admitted(stopwatch()):
                raise AssertionError("it left before")

        task = asyncio.create_task(second())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert one.waiting == 0
    async with one.admitted(stopwatch()):
        assert one.working == 1


async def test_each_waits_for_its_own_time_and_no_longer() -> None:
    """The timer that the first one set serves the second, though the first has left."""
    one = gate(queue_timeout=0.05, max_queue=3)
    async with one.admitted(stopwatch()):

        async def waits() -> None:
            async with one.admitted(stopwatch()):
                raise AssertionError("there is no place")

        first, second, third = (asyncio.create_task(waits()) for _ in range(3))
        await asyncio.sleep(0)
        first.cancel()
        results = await asyncio.wait_for(asyncio.gather(first, second, third, return_exceptions=True), 5)
        assert [type(result) for result in results] == [asyncio.CancelledError, Overloaded, Overloaded]
        again = asyncio.create_task(waits())
        with pytest.raises(Overloaded):
            await asyncio.wait_for(again, 5)
    assert (one.working, one.waiting) == (0, 0)


async def test_place_given_to_one_that_is_just_leaving_goes_to_the_next() -> None:
    one = gate(max_queue=2)
    entered = asyncio.Event()

    async def enters() -> None:
        async with one.admitted(stopwatch()):
            entered.set()

    async with one.admitted(stopwatch()):
        leaving, following = (asyncio.create_task(enters()) for _ in range(2))
        await asyncio.sleep(0)
        leaving.cancel()
    # The place was given to `leaving` before it could run and say that it had gone.
    results = await asyncio.wait_for(asyncio.gather(leaving, following, return_exceptions=True), 5)
    assert (type(results[0]), results[1]) == (asyncio.CancelledError, None)
    assert entered.is_set()
    assert (one.working, one.waiting) == (0, 0)
