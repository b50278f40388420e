"""The breaker: whatever a backend does, and whenever that is heard of, callers are refused only by the rules."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cerebrum_edge.guard.aside import Aside
from cerebrum_edge.guard.breaker import Attempt, Breaker, BreakerPolicy, BreakerState, Transition

POLICY = BreakerPolicy()


def granted(breaker: Breaker, now: float) -> Attempt:
    attempt = breaker.attempt(now)
    assert attempt is not None
    return attempt


def opened(now: float = 0.0, policy: BreakerPolicy = POLICY) -> Breaker:
    breaker = Breaker(policy)
    for _ in range(policy.failure_threshold):
        breaker.failure(granted(breaker, now), now)
    assert breaker.state(now) == "open"
    return breaker


def test_opens_at_the_threshold_of_consecutive_failures_and_not_before() -> None:
    breaker = Breaker(POLICY)
    for expected in range(1, 5):
        breaker.failure(granted(breaker, 0), 0)
        assert (breaker.state(0), breaker.failures) == ("closed", expected)
    breaker.failure(granted(breaker, 0), 0)
    assert (breaker.state(0), breaker.failures, breaker.retry_in(0)) == ("open", 5, 10.0)
    assert breaker.attempt(0) is None


def test_a_success_starts_the_count_anew() -> None:
    breaker = Breaker(POLICY)
    for _ in range(2):
        for _ in range(4):
            breaker.failure(granted(breaker, 0), 0)
        breaker.success(granted(breaker, 0), 0)
        assert (breaker.state(0), breaker.failures) == ("closed", 0)


@pytest.mark.parametrize(
    ("outcomes", "apart", "state"),
    [
        ("SFSFSFSFSF", 1.0, "open"),  # half of ten
        ("SFSFSFSFS", 1.0, "closed"),  # too few to judge by
        ("SFSFSSFSFS", 1.0, "closed"),  # four of ten
        ("SFSFSFSFSFSFSF", 4.0, "closed"),  # never more than eight within 30 s
        ("SSFSFSFSSFF", 3.0, "open"),  # the first is 30 s old and out: half of ten
        ("FSFSFSFSSSSSSSSSSSSSF", 3.0, "closed"),  # the early failures are out of the window
        ("SSSSSSSSSSFSFSFSFSFSFSFS", 1.0, "closed"),  # ten early successes still count
        ("SSSSSSSSSSFSFSFSFSFSFSFS", 2.5, "open"),  # by now they are out of the window
    ],
)
def test_opens_by_the_rate_of_late(outcomes: str, apart: float, state: str) -> None:
    breaker = Breaker(POLICY)
    for number, outcome in enumerate(outcomes):
        now = number * apart
        attempt = breaker.attempt(now)
        if attempt is not None:
            (breaker.success if outcome == "S" else breaker.failure)(attempt, now)
    assert breaker.state(now) == state


def test_rate_looks_back_on_so_many_outcomes_at_most() -> None:
    breaker = Breaker(replace(POLICY, remembered=10, failure_threshold=100))
    for _ in range(1000):
        breaker.success(granted(breaker, 0), 0)
    for _ in range(5):
        breaker.failure(granted(breaker, 0), 0)
    assert breaker.state(0) == "open"


def test_cooldown_grows_with_each_failed_probe_to_its_cap_and_starts_anew_after_success() -> None:
    breaker, now = opened(), 0.0
    for cooldown in (10, 20, 40, 80, 120, 120):
        assert breaker.retry_in(now) == cooldown
        assert breaker.attempt(now + cooldown - 0.001) is None
        now += cooldown
        breaker.failure(granted(breaker, now), now)
    now += 120
    breaker.success(granted(breaker, now), now)
    assert (breaker.state(now), breaker.failures) == ("closed", 0)
    for _ in range(5):
        breaker.failure(granted(breaker, now), now)
    assert breaker.retry_in(now) == 10


def test_failures_from_before_a_successful_probe_are_forgiven() -> None:
    breaker = opened(policy=replace(POLICY, minimum=6))
    breaker.success(granted(breaker, 10), 10)
    breaker.failure(granted(breaker, 11), 11)
    assert breaker.state(11) == "closed"


def test_one_probe_at_a_time() -> None:
    breaker = opened()
    assert breaker.state(10) == "half_open"
    assert granted(breaker, 10).probe
    assert [breaker.attempt(at) for at in (10, 20, 39.9)] == [None] * 3
    assert (breaker.state(20), breaker.retry_in(20)) == ("half_open", 20)


def test_abandoned_probe_is_handed_to_the_next_caller_and_is_no_verdict() -> None:
    breaker = opened()
    first = granted(breaker, 10)
    breaker.abandon(first, 12)
    assert (breaker.state(12), breaker.retry_in(12), breaker.failures) == ("half_open", 0, 5)
    breaker.success(first, 12)
    breaker.failure(first, 12)
    assert breaker.state(12) == "half_open", "who has abandoned has no say, even before the next one comes"
    second = granted(breaker, 12)
    assert second.probe
    breaker.success(first, 13)
    breaker.failure(first, 13)
    assert breaker.state(13) == "half_open"
    breaker.failure(second, 13)
    assert breaker.retry_in(13) == 20, "one failed probe, one step of growth"


def test_stale_probe_is_handed_on_and_its_late_result_ignored() -> None:
    breaker = opened()
    lost = granted(breaker, 10)
    following = granted(breaker, 40)
    assert following.probe
    breaker.failure(lost, 41)
    breaker.success(lost, 41)
    breaker.abandon(lost, 41)
    assert breaker.state(41) == "half_open"
    assert breaker.attempt(41) is None, "its successor is still out"
    breaker.success(following, 42)
    assert breaker.state(42) == "closed"


def test_results_from_before_it_opened_count_no_more() -> None:
    breaker = Breaker(POLICY)
    early = [granted(breaker, 0) for _ in range(12)]
    for _ in range(5):
        breaker.failure(granted(breaker, 1), 1)
    breaker.success(early.pop(), 2)
    assert breaker.state(2) == "open"
    probe = granted(breaker, 11)
    breaker.success(early.pop(), 12)
    breaker.abandon(early.pop(), 12)
    assert (breaker.state(12), breaker.attempt(12)) == ("half_open", None)
    breaker.success(probe, 13)
    for attempt in early:
        breaker.failure(attempt, 14)
    assert (breaker.state(14), breaker.failures) == ("closed", 0)


def test_first_token_of_a_probe_lets_others_in_while_its_stream_goes_on() -> None:
    breaker = opened()
    probe = granted(breaker, 10)
    stream = breaker.answered(probe, 11)
    assert (breaker.state(11), stream.probe) == ("closed", False)
    granted(breaker, 11)
    breaker.success(probe, 12)
    breaker.failure(probe, 12)
    assert breaker.failures == 0, "the probe is used up"
    breaker.failure(stream, 50)
    assert breaker.failures == 1, "streaming counts to its end"


def test_first_token_says_nothing_new_of_any_other_attempt() -> None:
    breaker = Breaker(POLICY)
    early = granted(breaker, 0)
    breaker.failure(granted(breaker, 0), 0)
    assert breaker.answered(early, 0) == early
    assert breaker.failures == 1
    breaker = opened()
    lost = granted(breaker, 10)
    granted(breaker, 40)
    assert breaker.answered(lost, 41) == lost
    assert breaker.state(41) == "half_open"


def test_abandoning_after_a_report_changes_nothing() -> None:
    breaker = opened()
    probe = granted(breaker, 10)
    breaker.failure(probe, 11)
    breaker.abandon(probe, 11)
    assert breaker.retry_in(11) == 20
    probe = granted(breaker, 31)
    breaker.success(probe, 32)
    breaker.abandon(probe, 32)
    assert breaker.state(32) == "closed"


def test_changes_are_told_once_and_in_order() -> None:
    breaker = opened(1)
    probe = granted(breaker, 11)
    breaker.abandon(probe, 12)
    breaker.success(granted(breaker, 12), 13)
    assert breaker.drain() == [
        Transition(1, "closed", "open"),
        Transition(11, "open", "half_open"),
        Transition(13, "half_open", "closed"),
    ]
    assert breaker.drain() == []


def test_changes_that_nobody_asks_for_do_not_pile_up() -> None:
    breaker, now = opened(), 0.0
    for _ in range(1000):
        now += 120
        breaker.failure(granted(breaker, now), now)
    assert breaker.drain()[-1] == Transition(now, "half_open", "open")
    for _ in range(1000):
        now += 120
        breaker.failure(granted(breaker, now), now)
    assert len(breaker.drain()) <= 64


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"failure_threshold": 0}, "failure_threshold is 0; it has to be at least 1."),
        ({"failure_rate": 0.0}, "failure_rate is 0; it has to be above 0 and at most 1."),
        ({"failure_rate": 1.5}, "failure_rate is 1.5; it has to be above 0 and at most 1."),
        ({"window": math.nan}, "window is nan; it has to be above 0."),
        ({"remembered": 9}, "remembered is 9; it has to be at least 10."),
        ({"growth": 0.5}, "growth is 0.5; it has to be at least 1."),
        ({"longest_cooldown": 5.0}, "longest_cooldown is 5; it has to be at least 10."),
        ({"probe_patience": -1.0}, "probe_patience is -1; it has to be above 0."),
    ],
)
def test_policy_names_what_is_wrong_with_it(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        BreakerPolicy(**fields)


def test_backend_that_asks_for_a_pause_gets_the_longest_that_it_asked_for() -> None:
    aside = Aside()
    assert aside.retry_in(0) == 0
    aside.set_aside(30)
    aside.set_aside(20)
    assert [aside.retry_in(at) for at in (10, 29, 30, 31)] == [20, 1, 0, 0]


SMALL = BreakerPolicy(
    failure_threshold=3,
    failure_rate=0.5,
    window=20,
    minimum=4,
    remembered=6,
    cooldown=8,
    growth=2,
    longest_cooldown=20,
    probe_patience=12,
)


@dataclass
class Model:
    """The rules said once more, the plain way: full history, sets of attempts, no generations."""

    state: BreakerState = "closed"
    counting: set[int] = field(default_factory=set)
    outcomes: list[tuple[int, bool]] = field(default_factory=list)
    failed_probes: int = 0
    opened_at: int = 0
    probe: int | None = None
    probed_at: int = 0
    changes: list[tuple[BreakerState, BreakerState]] = field(default_factory=list)

    def move(self, state: BreakerState) -> None:
        if state != self.state:
            self.changes.append((self.state, state))
        self.state = state
        self.counting.clear()
        self.outcomes.clear()
        self.probe = None

    def cooldown(self) -> int:
        return min(8 << self.failed_probes, 20)

    def refuses_for(self, now: int) -> int:
        if self.state == "open":
            return max(0, self.opened_at + self.cooldown() - now)
        if self.probe is not None:
            return max(0, self.probed_at + 12 - now)
        return 0

    def too_many(self, now: int) -> bool:
        late = [failed for at, failed in self.outcomes if at > now - 20][-6:]
        run = 0
        for _, failed in self.outcomes:
            run = run + 1 if failed else 0
        return run >= 3 or (len(late) >= 4 and sum(late) >= len(late) / 2)


outcomes = st.sampled_from(["success", "failure", "failure", "abandon", "answered"])


class BreakerMachine(RuleBasedStateMachine):
    """Attempts come, and their results at any time, in any order, once or more, or never."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(SMALL)
        self.model = Model()
        self.attempts: list[Attempt] = []
        self.now = 0

    @rule(seconds=st.integers(1, 15))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def caller_comes(self) -> None:
        model = self.model
        attempt = self.breaker.attempt(self.now)
        assert (attempt is None) == (model.refuses_for(self.now) > 0)
        if attempt is None:
            assert model.state != "closed", "a closed breaker refuses nobody"
            return
        assert attempt.probe == (model.state != "closed")
        number = len(self.attempts)
        self.attempts.append(attempt)
        if attempt.probe:
            model.move("half_open")
            model.probe, model.probed_at = number, self.now
        model.counting.add(number)

    @precondition(lambda self: self.attempts)
    @rule(data=st.data(), outcome=outcomes)
    def result_comes(self, data: st.DataObject, outcome: str) -> None:
        self.report(data.draw(st.sampled_from(range(len(self.attempts)))), outcome)

    @precondition(lambda self: self.attempts)
    @rule(outcome=outcomes)
    def newest_result_comes(self, outcome: str) -> None:
        self.report(len(self.attempts) - 1, outcome)

    def report(self, number: int, outcome: str) -> None:
        attempt, model, now = self.attempts[number], self.model, self.now
        counts, probes = number in model.counting, number == model.probe
        if outcome == "answered":
            following = self.breaker.answered(attempt, now)
            if counts and probes:
                self.close()
                model.counting.add(len(self.attempts))
                assert not following.probe
                self.attempts.append(following)
            else:
                assert following == attempt
            return
        getattr(self.breaker, outcome)(attempt, now)
        if not counts:
            return
        if probes:
            if outcome == "success":
                self.close()
            elif outcome == "failure":
                model.failed_probes += 1
                self.open()
            else:
                model.counting.clear()
                model.probe = None
        elif outcome != "abandon":
            model.outcomes.append((now, outcome == "failure"))
            if outcome == "failure" and model.too_many(now):
                self.open()

    def open(self) -> None:
        self.model.move("open")
        self.model.opened_at = self.now

    def close(self) -> None:
        self.model.move("closed")
        self.model.failed_probes = 0

    @invariant()
    def agrees_with_the_model(self) -> None:
        wait = self.model.refuses_for(self.now)
        shown = "half_open" if self.model.state == "open" and wait == 0 else self.model.state
        assert self.breaker.state(self.now) == shown
        assert self.breaker.retry_in(self.now) == wait
        assert self.breaker.failures >= 0
        assert [(one.before, one.after) for one in self.breaker.drain()] == self.model.changes
        self.model.changes.clear()

    @invariant()
    def at_most_one_probe_counts(self) -> None:
        generations = [one.generation for one in self.attempts if one.probe]
        assert len(generations) == len(set(generations))


TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
