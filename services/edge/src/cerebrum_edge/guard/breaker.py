"""Whether a backend is to be asked at all. Sans-IO: outcomes and `now` in, decisions out.

A backend that fails is left alone for a while, so that callers get their answer at once and it gets the rest it needs;
then one request, the probe, finds out whether it works again. One breaker serves a backend's requests and its health
checks alike.

    state      event                                   next       effect
    closed     attempt                                 closed     granted, always
    closed     success                                 closed     consecutive failures are forgotten
    closed     failure, below threshold and rate       closed     counted
    closed     failure, at threshold or rate           open       cooldown starts
    open       attempt, cooldown not over              open       refused
    open       attempt, cooldown over                  half_open  granted as the probe
    open       seen to answer a health check           open       cooldown is over
    half_open  attempt, a probe is out                 half_open  refused
    half_open  attempt, probe abandoned or too late    half_open  granted as the next probe
    half_open  the probe's success or first token      closed     counts and cooldown start anew
    half_open  the probe's failure                     open       longer cooldown, up to its cap
    any        abandon                                 the same   a probe is free to be taken by the next caller
    any        a result from before the last change    the same   ignored

The last line is what generations are for. Each change of state and each new probe begins one, an attempt carries the
one that it was made in, and only results of the current one count: a stream that began before the breaker opened can
neither close it nor open it again, and a probe that was given up for lost cannot undo what its successor found.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal

from cerebrum_edge.guard.ranges import check

BreakerState = Literal["closed", "open", "half_open"]

# Events that nobody drains are dropped from here on, oldest first, rather than kept for ever.
_MOST_EVENTS = 64


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a breaker opens and how long it stays so. All times are seconds.

    Attributes:
        failure_threshold: consecutive failures that open it.
        failure_rate: share of failures that opens it, of the outcomes in the last `window` seconds, once there are
            `minimum` of them.
        remembered: the most outcomes that the rate looks back on, so that memory is bounded at any request rate.
        cooldown: how long it is open at first; each failed probe multiplies that by `growth`, up to
            `longest_cooldown`.
        probe_patience: a probe without a result for this long is handed on to the next caller.

    Raises:
        ValueError: a value out of its range; the text names it.
    """

    failure_threshold: int = 5
    failure_rate: float = 0.5
    window: float = 30.0
    minimum: int = 10
    remembered: int = 256
    cooldown: float = 10.0
    growth: float = 2.0
    longest_cooldown: float = 120.0
    probe_patience: float = 30.0

    def __post_init__(self) -> None:
        check("failure_threshold", self.failure_threshold, least=1)
        check("failure_rate", self.failure_rate, least=0, most=1, above=True)
        check("window", self.window, least=0, above=True)
        check("minimum", self.minimum, least=1)
        check("remembered", self.remembered, least=self.minimum)
        check("cooldown", self.cooldown, least=0, above=True)
        check("growth", self.growth, least=1)
        check("longest_cooldown", self.longest_cooldown, least=self.cooldown)
        check("probe_patience", self.probe_patience, least=0, above=True)


@dataclass(frozen=True, slots=True)
class Attempt:
    """Leave to ask the backend once. Give it back with exactly one of `success`, `failure` and `abandon`.

    Attributes:
        probe: on this request hangs whether the backend is taken back; it is not for retrying on the same backend.
    """

    generation: int
    probe: bool


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of state at `at`, for logs and metrics."""

    at: float
    before: BreakerState
    after: BreakerState


class Breaker:
    """The state machine of one backend. `now` is a monotonic time in seconds and never goes back."""

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._state: BreakerState = "closed"
        self._generation = 0
        self._failures = 0
        self._recent = _Recent(policy)
        self._cooldown = policy.cooldown
        self._next_probe = -math.inf
        self._events: deque[Transition] = deque(maxlen=_MOST_EVENTS)

    @property
    def failures(self) -> int:
        """Failures since the last success, failed probes among them."""
        return self._failures

    def state(self, now: float) -> BreakerState:
        """Half-open from the end of the cooldown, whether or not anybody has come to probe."""
        return "half_open" if self._state == "open" and now >= self._next_probe else self._state

    def retry_in(self, now: float) -> float:
        """Seconds until an attempt may be granted; 0.0 exactly when one would be granted now."""
        return 0.0 if self._state == "closed" else max(0.0, self._next_probe - now)

    def attempt(self, now: float) -> Attempt | None:
        """Leave to ask the backend, or None: it is refused for the next `retry_in(now)` seconds."""
        if self._state == "closed":
            return Attempt(self._generation, probe=False)
        if now < self._next_probe:
            return None
        self._move("half_open", now)
        self._next_probe = now + self._policy.probe_patience
        return Attempt(self._generation, probe=True)

    def answered(self, attempt: Attempt, now: float) -> Attempt:
        """The first token has come. The attempt to report the end of the stream under.

        A probe has then shown what it was sent for. Without this, others would be kept waiting until its stream ends.
        """
        if not attempt.probe or not self._counts(attempt):
            return attempt
        self._close(now)
        return Attempt(self._generation, probe=False)

    def success(self, attempt: Attempt, now: float) -> None:
        """The backend answered in full."""
        if not self._counts(attempt):
            return
        if attempt.probe:
            self._close(now)
        else:
            self._failures = 0
            self._recent.add(now, failed=False)

    def failure(self, attempt: Attempt, now: float) -> None:
        """The backend did not answer, broke off, was silent for too long or answered 5xx."""
        if not self._counts(attempt):
            return
        self._failures += 1
        if attempt.probe:
            self._cooldown = min(self._cooldown * self._policy.growth, self._policy.longest_cooldown)
            self._open(now)
        else:
            self._recent.add(now, failed=True)
            if self._failures >= self._policy.failure_threshold or self._recent.too_many():
                self._open(now)

    def abandon(self, attempt: Attempt, now: float) -> None:
        """The attempt says nothing about the backend: its client left, it was a 4xx, we cancelled it, or the backend
        has no room (503 with `Retry-After`, which is for `Aside`). After another report it changes nothing.
        """
        if attempt.probe and self._counts(attempt):
            self._generation += 1
            self._next_probe = now

    def hasten(self, now: float) -> None:
        """It was seen to answer a health check: an open breaker need not wait for its cooldown's end to probe."""
        if self._state == "open":
            self._next_probe = min(self._next_probe, now)

    def drain(self) -> list[Transition]:
        """What has changed since the last call, oldest first."""
        events = list(self._events)
        self._events.clear()
        return events

    def _counts(self, attempt: Attempt) -> bool:
        return attempt.generation == self._generation

    def _open(self, now: float) -> None:
        self._next_probe = now + self._cooldown
        self._move("open", now)

    def _close(self, now: float) -> None:
        self._failures = 0
        self._cooldown = self._policy.cooldown
        self._recent = _Recent(self._policy)
        self._move("closed", now)

    def _move(self, state: BreakerState, now: float) -> None:
        if state != self._state:
            self._events.append(Transition(now, self._state, state))
        self._state = state
        self._generation += 1


class _Recent:
    """Outcomes of late, for the rate."""

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._outcomes: deque[tuple[float, bool]] = deque()
        self._failed = 0

    def add(self, now: float, *, failed: bool) -> None:
        self._outcomes.append((now, failed))
        self._failed += failed
        while len(self._outcomes) > self._policy.remembered or now - self._outcomes[0][0] >= self._policy.window:
            self._failed -= self._outcomes.popleft()[1]

    def too_many(self) -> bool:
        total = len(self._outcomes)
        return total >= self._policy.minimum and self._failed >= self._policy.failure_rate * total
