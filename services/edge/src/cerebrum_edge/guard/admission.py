"""Who may work now, who waits, who is refused. Sans-IO: events and `now` in, decisions out.

At most `max_inflight` requests are in work; at most `max_queue` wait, first come, first served, and none longer than
`queue_timeout` seconds.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["admitted", "queued", "refused"]


@dataclass(frozen=True, slots=True)
class Limits:
    max_inflight: int
    max_queue: int
    queue_timeout: float


class Admission:
    """The state machine. A ticket is any number that the caller uses once."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._working: dict[int, float] = {}
        self._waiting: OrderedDict[int, float] = OrderedDict()
        self._mean_seconds = 5.0

    @property
    def working(self) -> int:
        return len(self._working)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def arrive(self, ticket: int, now: float) -> Verdict:
        if len(self._working) < self._limits.max_inflight and not self._waiting:
            self._working[ticket] = now
            return "admitted"
        if len(self._waiting) >= self._limits.max_queue:
            return "refused"
        self._waiting[ticket] = now
        return "queued"

    def leave(self, ticket: int, now: float) -> list[int]:
        """A request is over, or its client gave up waiting; the tickets that may work from now on."""
        started = self._working.pop(ticket, None)
        self._waiting.pop(ticket, None)
        if started is not None:
            self._mean_seconds += 0.2 * (now - started - self._mean_seconds)
        admitted = []
        while self._waiting and len(self._working) < self._limits.max_inflight:
            following, _ = self._waiting.popitem(last=False)
            self._working[following] = now
            admitted.append(following)
        return admitted

    def retry_after(self) -> float:
        """Seconds until a place is likely: what is ahead, at the rate of late."""
        ahead = len(self._waiting) + 1
        return max(1.0, self._mean_seconds * ahead / self._limits.max_inflight)
