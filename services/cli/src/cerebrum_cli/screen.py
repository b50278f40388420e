"""Where output goes: answers and tables to standard output, all that is said about them to standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TextIO

from rich.console import Console, RenderableType

from cerebrum_cli.answer.paint import DIM, RESET, visible

Tone = Literal["plain", "dim", "good", "bad", "strong"]
_SGR: dict[Tone, str] = {"plain": "", "dim": DIM, "good": "\x1b[32m", "bad": "\x1b[31m", "strong": "\x1b[1m"}
_FILE_WIDTH = 1000
_WAITING = "waiting for the first token"


@dataclass(frozen=True, slots=True)
class Abilities:
    """What the terminal can do.

    Attributes:
        terminal: standard output is one, so what a model writes must not reach it raw.
        moves: it knows escape sequences.
        colour: it may be coloured.
        edits: lines can be edited and remembered: both ends are such terminals.
    """

    terminal: bool
    moves: bool
    colour: bool
    edits: bool


def abilities(environment: Mapping[str, str], *, stdin: bool, stdout: bool) -> Abilities:
    """By whether both ends are terminals, `TERM` and `NO_COLOR` (https://no-color.org)."""
    moves = stdout and environment.get("TERM", "dumb") not in ("", "dumb", "unknown")
    return Abilities(stdout, moves, moves and not environment.get("NO_COLOR"), moves and stdin)


class Screen:
    """The two output streams, and what may be written to them."""

    def __init__(self, able: Abilities, *, out: TextIO, err: TextIO) -> None:
        self.able = able
        self._out = out
        self._err = err
        self._err_colour = err.isatty() and abilities(os.environ, stdin=False, stdout=True).colour
        self._waiting = False

    def write(self, text: str) -> None:
        """A piece of an answer, shown at once."""
        if text:
            self.stop_waiting()
            self._out.write(text)
            self._out.flush()

    def wait(self) -> None:
        """A sign that is gone when the first token comes."""
        if self.able.moves and self._err.isatty():
            self._waiting = True
            self._out.write(f"{DIM}{_WAITING}{RESET}" if self.able.colour else _WAITING)
            self._out.flush()

    def say(self, text: str, tone: Tone = "dim") -> None:
        """A line about what happens, beside the answers."""
        self.stop_waiting()
        start = _SGR[tone] if self._err_colour else ""
        self._err.write(f"{start}{visible(text)}{RESET if start else ''}\n")
        self._err.flush()

    def line(self, text: str, tone: Tone = "plain") -> None:
        """A line of what was asked for."""
        self.stop_waiting()
        start = _SGR[tone] if self.able.colour else ""
        self._out.write(f"{start}{visible(text)}{RESET if start else ''}\n")
        self._out.flush()

    def show(self, what: RenderableType) -> None:
        """A table."""
        self.stop_waiting()
        # A file has no width that something would have to be cut to.
        console = Console(
            file=self._out,
            color_system="standard" if self.able.colour else None,
            force_terminal=self.able.colour,
            width=None if self.able.terminal else _FILE_WIDTH,
            highlight=False,
        )
        with console.capture() as captured:
            console.print(what)
        self._out.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())
        self._out.flush()

    def clear(self) -> bool:
        """Clears what is seen, not what was scrolled away. False where the terminal cannot."""
        if self.able.moves:
            self._out.write("\x1b[H\x1b[2J")
            self._out.flush()
        return self.able.moves

    def stop_waiting(self) -> None:
        """Takes the sign away, where there is one."""
        if self._waiting:
            self._waiting = False
            self._out.write("\r\x1b[K")
            self._out.flush()


def standard_screen() -> Screen:
    """The process's own streams; a character that their encoding lacks is replaced, never an error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    able = abilities(os.environ, stdin=is_terminal(sys.stdin), stdout=is_terminal(sys.stdout))
    return Screen(able, out=sys.stdout, err=sys.stderr)


def is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()
