"""Waiting for what cannot be awaited: another process's state, asked for until it is as expected or time is over."""

from __future__ import annotations

import time
from collections.abc import Callable

SECONDS = 15.0


def eventually(condition: Callable[[], object], what: str, *, seconds: float = SECONDS) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.01)
