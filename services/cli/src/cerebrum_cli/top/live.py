"""The picture in a terminal, drawn again as it changes, until a key ends it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from typing import NoReturn

from rich.console import Console, RenderableType
from rich.live import Live

from cerebrum_cli.top.render import render
from cerebrum_cli.top.sources import Look, Source

_LEAVES = b"qQ\x04"  # Ctrl-D
_HINT = "q leaves"
# How soon a new size of the terminal is seen.
_TICK = 0.25


def watch(source: Source, *, interval: float, colour: bool) -> None:
    """Shows it until `q`, Ctrl-D or Ctrl-C; the terminal is then as it was.

    The source is asked beside the keys: one that hangs does not keep anybody here.
    """
    console = Console(color_system="auto" if colour else None, no_color=not colour, highlight=False)
    with _ended_by_signals(), _keys() as keys, Live(console=console, screen=True, auto_refresh=False) as live:
        looker = _Looker(source, interval)
        look: Look | None = None
        size = console.size
        live.update(_picture(source, look), refresh=True)
        looker.start()
        while True:
            ready, _, _ = select.select([looker.news, *keys], [], [], _TICK)
            if any(key in ready for key in keys):
                typed = os.read(keys[0], 1024)
                if not typed or any(one in _LEAVES for one in typed):
                    return
            if looker.news in ready:
                look = looker.take()
            elif console.size == size:
                continue
            size = console.size
            live.update(_picture(source, look), refresh=True)


def _picture(source: Source, look: Look | None) -> RenderableType:
    if look is None:
        return render(source.name, None, hint=_HINT)
    return render(source.name, look.facts, look.problems, hint=_HINT)


class _Looker(threading.Thread):
    """Asks the source again and again; `news` can be read when there is a look."""

    def __init__(self, source: Source, interval: float) -> None:
        super().__init__(daemon=True)
        self._source = source
        self._interval = interval
        self._look: Look | None = None
        self.news, self._bell = os.pipe()

    def run(self) -> None:
        pause = threading.Event()
        while True:
            self._look = self._source.look()
            os.write(self._bell, b".")
            pause.wait(self._interval)

    def take(self) -> Look | None:
        """The newest look."""
        os.read(self.news, 1024)
        return self._look


@contextlib.contextmanager
def _keys() -> Iterator[list[int]]:
    """Single keys from the terminal, not shown; none where standard input is no terminal."""
    if sys.stdin is None or not sys.stdin.isatty():
        yield []
        return
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd)
        now = termios.tcgetattr(fd)
        now[6][termios.VSUSP] = b"\0"  # a program that is stopped leaves the terminal as it is
        termios.tcsetattr(fd, termios.TCSANOW, now)
        yield [fd]
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end it the way that a key does, so that the terminal is put back."""

    def end(number: int, _frame: object) -> NoReturn:
        sys.exit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
