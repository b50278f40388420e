"""Who may work now, who waits, who is refused. Sans-IO: events and `now` in, decisions out.

At most `max_inflight` requests are in work; at most `max_queue` wait, first come, first served, and none longer than
`queue_timeout` seconds. A ticket is any number that the caller uses once.

    ticket is   event                                        becomes   effect
    new         arrive: a place is free and nobody waits     working
    new         arrive: no place, room in the queue          waiting   its deadline is now + queue_timeout
    new         arrive: the queue is full                    refused   forgotten at once
    waiting     a place comes free and it is the first       working   returned by the `leave` that freed the place
    waiting     leave: its client gave up                    gone
    waiting     expire: its deadline has come                gone      returned by `expire`
    working     leave: its body has ended, however           gone      time in work is measured; the first one moves up
    gone        leave                                        gone      nothing, so that `leave` fits into a `finally`
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

from cerebrum_edge.guard.ranges import check

Verdict = Literal["admitted", "queued", "refused"]

# A short answer of a small model on a small machine: what is told to clients before anything has been measured.
_PRIOR_SECONDS = 5.0
# A fifth of the newest: five requests turn the average, one odd request does not.
_FORGET = 0.2
_LEAST_WAIT, _MOST_WAIT = 1.0, 600.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Requests in work, requests that wait, and the seconds that one of these may wait.

    Raises:
        ValueError: a value out of its range; the text names it.
    """

    max_inflight: int
    max_queue: int
    queue_timeout: float

    def __post_init__(self) -> None:
        check("max_inflight", self.max_inflight, least=1)
        check("max_queue", self.max_queue, least=0)
        check("queue_timeout", self.queue_timeout, least=0)


class Admission:
    """The state machine. `now` is a monotonic time in seconds and never goes back."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._working: dict[int, float] = {}
        self._waiting: OrderedDict[int, float] = OrderedDict()
        self._mean_seconds = _PRIOR_SECONDS

    @property
    def working(self) -> int:
        return len(self._working)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def arrive(self, ticket: int, now: float) -> Verdict:
        """A request asks for a place."""
        if len(self._working) < self._limits.max_inflight:
            self._working[ticket] = now
            return "admitted"
        if len(self._waiting) >= self._limits.max_queue:
            return "refused"
        self._waiting[ticket] = now + self._limits.queue_timeout
        return "queued"

    def leave(self, ticket: int, now: float) -> list[int]:
        """A request is over, or its client gave up waiting; the tickets that may work from now on."""
        self._waiting.pop(ticket, None)
        started = self._working.pop(ticket, None)
        if started is None:
            return []
        self._mean_seconds += _FORGET * (now - started - self._mean_seconds)
        if not self._waiting:
            return []
        following, _ = self._waiting.popitem(last=False)
        self._working[following] = now
        return [following]

    def expire(self, now: float) -> list[int]:
        """Drops the tickets that have waited too long and returns them, oldest first."""
        expired = []
        while self._waiting and next(iter(self._waiting.values())) <= now:
            ticket, _ = self._waiting.popitem(last=False)
            expired.append(ticket)
        return expired

    def next_deadline(self) -> float | None:
        """When `expire` has something to do next; None while nobody waits."""
        return next(iter(self._waiting.values()), None)

    def retry_after(self, now: float) -> float:
        """Seconds until a newcomer's turn is likely, between 1 s and 10 min.

        Each place is taken to come free when its request has run for as long as requests did of late; one that has
        run for longer shows itself to be of another kind, and is taken to need as long again as it is late. Those who
        wait then take the places in turn.
        """
        if len(self._working) < self._limits.max_inflight:
            return _LEAST_WAIT
        free_in = [abs(self._mean_seconds - (now - started)) for started in self._working.values()]
        heapq.heapify(free_in)
        for _ in self._waiting:
            heapq.heapreplace(free_in, free_in[0] + self._mean_seconds)
        return min(_MOST_WAIT, max(_LEAST_WAIT, free_in[0]))
