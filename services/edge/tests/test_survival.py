"""What follows a failed attempt."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cerebrum_edge.guard.retry import RetryBudget, RetryPolicy
from cerebrum_edge.relay.survival import Survival, SurvivalPolicy, TryAgain

RETRIES = RetryPolicy()


def survival(**policy: Any) -> Survival:
    return Survival(SurvivalPolicy(**policy), RETRIES, RetryBudget(RETRIES))


def failed(one: Survival, now: float, **how: Any) -> TryAgain | None:
    defaults = {"final": False, "taken": True, "progress": False, "can_resume": True, "jitter": 1.0}
    return one.failed(now, **{**defaults, **how})


def test_what_would_end_in_the_same_way_ends_now() -> None:
    assert failed(survival(), 0.0, final=True) is None
    assert failed(survival(), 0.0, can_resume=False) is None


def test_request_that_nobody_took_is_tried_twice_more() -> None:
    one = survival()
    waits = [failed(one, 0.0, taken=False) for _ in range(3)]
    assert [again and again.until for again in waits] == [None, None, None]
    assert [again is not None for again in waits] == [True, True, False]


def test_retries_stop_when_the_budget_is_spent() -> None:
    budget = RetryBudget(RETRIES)
    answers = [Survival(SurvivalPolicy(), RETRIES, budget) for _ in range(6)]
    allowed = [failed(one, 0.0, taken=False) is not None for one in answers]
    assert allowed == [True, True, True, False, False, False]


def test_answer_that_had_begun_waits_for_its_backend_until_the_time_is_over() -> None:
    one = survival(resume_seconds=15.0)
    assert failed(one, 100.0, progress=True) == TryAgain(0.05, 115.0)
    assert failed(one, 101.0, taken=False) == TryAgain(0.1, 115.0)
    assert failed(one, 114.9, taken=False) is not None
    assert failed(one, 115.0, taken=False) is None


def test_new_tokens_begin_the_time_anew() -> None:
    one = survival(resume_seconds=15.0)
    failed(one, 100.0, progress=True)
    again = failed(one, 114.0, progress=True)
    assert again is not None
    assert again.until == 129.0


def test_backend_that_takes_the_answer_and_brings_nothing_is_given_up() -> None:
    one = survival(most_barren=4)
    assert [failed(one, second / 10) is not None for second in range(5)] == [True, True, True, False, False]


def test_answer_that_is_cut_again_and_again_ends() -> None:
    one = survival(most_resumes=5)
    assert [failed(one, float(second), progress=True) is not None for second in range(7)].count(True) == 5


@given(
    st.lists(st.tuples(st.floats(0, 30), st.booleans(), st.booleans(), st.floats(0, 1, exclude_max=True)), max_size=40)
)
def test_it_ends_and_never_waits_beyond_the_time(steps: list[tuple[float, bool, bool, float]]) -> None:
    one, now, tries = survival(), 0.0, 0
    for passed, taken, progress, jitter in steps:
        now += passed
        again = failed(one, now, taken=taken, progress=progress and taken, jitter=jitter)
        if again is None:
            break
        tries += 1
        assert again.wait >= 0
        assert again.until is None or now + again.wait <= again.until + 1e-9
    assert tries <= 40
