"""Tells how a fetch goes: lines for a terminal, and a small file that a play reads while the fetch runs."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from cerebrum_inference.store.files import write_whole

State = Literal["running", "done", "failed"]
_EVERY = 1.0  # seconds between two states of the file
_TERMINAL_EVERY = 5.0


class Report:
    """What a fetch says of itself.

    Args:
        file: that holds the last word as JSON (`state`, `line`, `text`), or None.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._written = self._shown = 0.0

    def say(self, line: str) -> None:
        with self._lock:
            self._show(line)
            self._write("running", line, "")

    def running(self, line: Callable[[float], str], now: float) -> None:
        """Something moved; told at most once in a while."""
        with self._lock:
            if now - self._written >= _EVERY:
                self._write("running", line(now), "")
            if now - self._shown >= _TERMINAL_EVERY:
                self._show(line(now))

    @contextlib.contextmanager
    def ticking(self, line: Callable[[float], str]) -> Iterator[None]:
        """While nothing moves, that is told too."""
        over = threading.Event()

        def tick() -> None:
            while not over.wait(_EVERY):
                self.running(line, time.monotonic())

        thread = threading.Thread(target=tick, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def end(self, state: State, text: str) -> None:
        with self._lock:
            print(text, file=sys.stderr if state == "failed" else sys.stdout, flush=True)
            self._write(state, "", text)

    def _show(self, line: str) -> None:
        self._shown = time.monotonic()
        print(line, flush=True)  # noqa: T201 (the terminal or the journal of who fetches)

    def _write(self, state: State, line: str, text: str) -> None:
        self._written = time.monotonic()
        if self._file is not None:
            # A full volume must not end a fetch for the sake of its progress.
            with contextlib.suppress(OSError):
                write_whole(self._file, json.dumps({"state": state, "line": line, "text": text}))
