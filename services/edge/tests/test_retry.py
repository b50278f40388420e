"""Retries: paid for by requests, and never at the same moment."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cerebrum_edge.guard.retry import RetryBudget, RetryPolicy, backoff

POLICY = RetryPolicy()


def test_a_backend_that_stays_down_gets_a_fifth_more_requests_and_no_storm() -> None:
    budget, retries = RetryBudget(POLICY), 0
    for _ in range(1000):
        budget.deposit()
        while budget.withdraw():
            retries += 1
    assert retries == 3 + 1000 // 5


def test_savings_end_at_the_cap() -> None:
    budget = RetryBudget(POLICY)
    for _ in range(1000):
        budget.deposit()
    assert budget.left == 10
    assert [budget.withdraw() for _ in range(11)] == [True] * 10 + [False]


class BudgetMachine(RuleBasedStateMachine):
    """Against the sum in fractions."""

    def __init__(self) -> None:
        super().__init__()
        self.budget = RetryBudget(POLICY)
        self.model = Fraction(3)

    @rule(requests=st.integers(1, 20))
    def requests_begin(self, requests: int) -> None:
        for _ in range(requests):
            self.budget.deposit()
            self.model = min(Fraction(10), self.model + Fraction(1, 5))

    @rule()
    def retry_is_asked_for(self) -> None:
        allowed = self.model >= 1
        assert self.budget.withdraw() == allowed
        self.model -= allowed

    @invariant()
    def agrees_with_the_model(self) -> None:
        assert self.budget.left == float(self.model)
        assert 0 <= self.budget.left <= 10


TestBudget = BudgetMachine.TestCase
TestBudget.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize(
    ("retry", "jitter", "seconds"),
    [(0, 1.0, 0.05), (1, 1.0, 0.1), (2, 0.5, 0.1), (5, 1.0, 1.6), (6, 1.0, 2.0), (10**9, 1.0, 2.0), (3, 0.0, 0.0)],
)
def test_backoff(retry: int, jitter: float, seconds: float) -> None:
    assert backoff(retry, jitter=jitter, policy=POLICY) == pytest.approx(seconds)


@given(st.integers(0, 100), st.floats(0, 1))
def test_wait_is_never_longer_than_the_limit(retry: int, jitter: float) -> None:
    assert 0 <= backoff(retry, jitter=jitter, policy=POLICY) <= POLICY.longest


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"requests_per_retry": 0}, "requests_per_retry is 0; it has to be at least 1."),
        ({"start": -1}, "start is -1; it has to be at least 0."),
        ({"cap": 2}, "cap is 2; it has to be at least 3."),
        ({"longest": 0.01}, "longest is 0.01; it has to be at least 0.05."),
    ],
)
def test_policy_names_what_is_wrong_with_it(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        RetryPolicy(**fields)
