"""Backends that asked for a pause. Sans-IO.

A backend that answers 503 with `Retry-After` works and says that it has no room. That is no failure, so the breaker
does not hear of it; it is just not asked again before its time.

    event                  effect
    set_aside(until)       not asked before `until`; of several answers the latest `until` holds
    time reaches `until`   may be asked again
"""

from __future__ import annotations

import math


class Aside:
    """One backend's pause. Times are monotonic, in seconds."""

    def __init__(self) -> None:
        self._until = -math.inf

    def set_aside(self, until: float) -> None:
        """Not to be asked before `until`. An earlier answer that asked for longer is kept to."""
        self._until = max(self._until, until)

    def retry_in(self, now: float) -> float:
        """Seconds until it may be asked; 0.0 exactly when it may be asked now."""
        return max(0.0, self._until - now)
