"""How much of an answer's way to its first event was waiting for others: a place, a backend. Sans-IO."""

from __future__ import annotations

from collections.abc import Callable


class Waits:
    """A stopwatch that adds up. What is left of the whole time is the edge's own.

    An answer that came while the event loop was busy with other requests has been waited for until it was looked at:
    that part of a busy edge's delay is counted as the backend's.

    Attributes:
        seconds: how long it ran.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.seconds = 0.0
        self._clock = clock
        self._since: float | None = None

    def begin(self) -> None:
        """From now on something is waited for; says nothing new where that is so already."""
        if self._since is None:
            self._since = self._clock()

    def end(self) -> None:
        """It has come, or failed; nothing where nothing was waited for."""
        if self._since is not None:
            self.seconds += self._clock() - self._since
            self._since = None
