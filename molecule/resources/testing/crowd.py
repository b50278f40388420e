"""Clients that ask all the time while a test does something to the system; what went wrong, they keep."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Self

from support.waiting import eventually


class Crowd(ABC):
    """Each of `works` is done again and again by a thread of its own, from entering to leaving the block.

    Attributes:
        failures: what clients saw that was no whole answer.
    """

    def __init__(self, *works: Callable[[], None], pause: float = 0.0) -> None:
        self._over = threading.Event()
        self._pause = pause
        self._threads = [threading.Thread(target=self._keep_doing, args=(work,)) for work in works]
        self.failures: list[str] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        self.more()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(300)

    @abstractmethod
    def more(self) -> None:
        """Waits until all sorts of clients were answered once more from beginning to end."""

    def until(self, condition: Callable[[], bool], what: str, *, seconds: float) -> None:
        """Waits until `condition` holds; a client's failure ends the test."""
        eventually(lambda: bool(self.failures) or condition(), what, seconds=seconds)
        assert not self.failures, f"{len(self.failures)} failed, the first: {self.failures[0]}"

    def attempt(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as exc:  # noqa: BLE001 (whatever a client sees is a failure to be told)
            self.failures.append(f"{work.__name__}: {exc!r}")

    def _keep_doing(self, work: Callable[[], None]) -> None:
        while not self._over.wait(self._pause):
            self.attempt(work)
