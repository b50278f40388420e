"""When an answer's tokens came: the first one, and the gaps between the others."""

from __future__ import annotations

from collections.abc import Callable

from cerebrum_edge.metrics import EdgeMetrics


class Pace:
    """One answer's; called for every event of every stream, so that it does no more than it must.

    Args:
        arrived: when the request came.
    """

    __slots__ = ("_clock", "_gaps", "_last", "_pieces", "_ttft")

    def __init__(self, metrics: EdgeMetrics, clock: Callable[[], float], arrived: float) -> None:
        self._ttft = metrics.ttft
        self._gaps = metrics.inter_token
        self._clock = clock
        self._last = arrived
        self._pieces = 0

    def seen(self, pieces: int) -> None:
        """So many pieces have come. Events without one (a chat's opening, the last one's totals) are no token."""
        if pieces == self._pieces:
            return
        now = self._clock()
        (self._gaps if self._pieces else self._ttft).observe(now - self._last)
        self._pieces, self._last = pieces, now
