"""How many retries the edge allows itself, and how long it waits before one. Pure.

Retries help against a fault that is gone the next moment. Against one that stays they multiply the load at the worst
time, so they are paid for from a budget that requests fill:

    event                        budget, in retries
    start                        3
    a request begins             + 1/5, to 10 at most
    a retry, one is left         - 1, allowed
    a retry, less than one left  unchanged, refused
"""

from __future__ import annotations

from dataclasses import dataclass

from cerebrum_edge.guard.ranges import check


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Budget in retries, times in seconds.

    Attributes:
        requests_per_retry: so many requests pay for one retry.
        start: what there is before the first request.
        cap: the most that can be saved.
        base: upper end of the wait before the first retry; it doubles with each further one, up to `longest`.

    Raises:
        ValueError: a value out of its range; the text names it.
    """

    requests_per_retry: int = 5
    start: int = 3
    cap: int = 10
    base: float = 0.05
    longest: float = 2.0

    def __post_init__(self) -> None:
        check("requests_per_retry", self.requests_per_retry, least=1)
        check("start", self.start, least=0)
        check("cap", self.cap, least=self.start)
        check("base", self.base, least=0)
        check("longest", self.longest, least=self.base)


class RetryBudget:
    """Shared by all requests; one request's retries are another's refusal. Whole shares, so that it does not drift."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._price = policy.requests_per_retry
        self._cap = policy.cap * policy.requests_per_retry
        self._shares = policy.start * policy.requests_per_retry

    @property
    def left(self) -> float:
        """Retries that are paid for."""
        return self._shares / self._price

    def deposit(self) -> None:
        """A request begins. Its retries are not requests."""
        self._shares = min(self._shares + 1, self._cap)

    def withdraw(self) -> bool:
        """Whether a retry may be made; it is paid for when it may."""
        if self._shares < self._price:
            return False
        self._shares -= self._price
        return True


def backoff(retry: int, *, jitter: float, policy: RetryPolicy) -> float:
    """Seconds to wait before a retry: anywhere between none and the limit of this retry ("full jitter").

    Args:
        retry: 0 for the first one.
        jitter: a random number from 0 to 1, new for each call.
    """
    return jitter * min(policy.longest, policy.base * 2.0 ** min(retry, 64))
