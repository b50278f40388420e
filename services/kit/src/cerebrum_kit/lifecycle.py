"""The life of a service as its parts see it: starting, ready or degraded, draining, out of time.

One object per app. The server runner moves it on; endpoints and streams read it. `problem` is what keeps the service
from being ready: a deployment reads it through the service manager's status line and refuses the release.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Lifecycle:
    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started = clock()
        self._expired = False
        self._at_expiry: set[Callable[[], object]] = set()
        self.draining = False
        self.problem: str | None = "starting"
        # Says what does not move though there is work, or None: a service that computes sets it.
        self.stuck: Callable[[], str | None] = lambda: None

    @property
    def uptime(self) -> float:
        """Seconds since the app was made."""
        return self._clock() - self._started

    @property
    def ready(self) -> bool:
        return self.problem is None and not self.draining

    @property
    def status(self) -> str:
        """One line for the service manager: `ready`, `degraded: why` or `draining`."""
        if self.draining:
            return "draining"
        return "ready" if self.problem is None else f"degraded: {self.problem}"

    def begin_drain(self) -> None:
        """No new work from now on."""
        self.draining = True

    def expire_drain(self) -> None:
        """The time to finish is over: what still streams ends with an error event."""
        self.draining = self._expired = True
        for call in tuple(self._at_expiry):
            call()

    @contextmanager
    def at_expiry(self, call: Callable[[], object]) -> Iterator[None]:
        """Calls `call` when the time to finish is over, if that is while the block runs, or before it."""
        if self._expired:
            call()
        self._at_expiry.add(call)
        try:
            yield
        finally:
            self._at_expiry.discard(call)
