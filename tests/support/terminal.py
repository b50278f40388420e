"""Programs in a terminal of their own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pexpect

from support.process import console_script

SECONDS = 20
# The editor repaints its prompt as it likes, but asks for bracketed pastes once, when it starts.
_EDITOR_STARTS = "\x1b[?2004h"
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|[()][AB0]|[=>78])")


class Terminal:
    """A person at the keys.

    Attributes:
        written: all that came to the terminal so far, escape sequences and echo included.
        plain: there is no editor at the prompt.
    """

    def __init__(self, child: pexpect.spawn[str], *, plain: bool) -> None:
        self.child = child
        self.plain = plain
        self.written = ""

    def type(self, text: str) -> None:
        """Text and Enter."""
        self.child.send(text + "\r")

    def press(self, keys: str) -> None:
        self.child.send(keys)

    def wait_for(self, words: str) -> str:
        """Waits until `words` come, and returns what came before them; it is not looked at again."""
        self.child.expect_exact(words)
        self.written += str(self.child.before) + str(self.child.after)
        return str(self.child.before)

    def prompt(self) -> str:
        """Waits for the next prompt; what came before it, without escape sequences."""
        shown = "" if self.plain else self.wait_for(_EDITOR_STARTS)
        return ESCAPES.sub("", shown + self.wait_for(">>>"))

    def interrupt(self) -> None:
        self.child.sendintr()

    def end(self) -> int:
        """Waits until it has ended; its exit code."""
        self.child.expect(pexpect.EOF)
        self.written += str(self.child.before)
        self.child.close()
        return self.child.exitstatus if self.child.exitstatus is not None else -(self.child.signalstatus or 0)


@contextlib.contextmanager
def cerebrum_terminal(
    *words: str,
    url: str,
    home: Path,
    size: tuple[int, int] = (30, 100),
    into: Path | None = None,
    **environment: str,
) -> Iterator[Terminal]:
    """Starts it; it is killed at the end if it has not ended.

    Args:
        home: where its history is.
        size: lines and columns.
        into: where standard output goes instead of to the terminal.
    """
    command = ["/bin/sh", "-c", f'exec "$0" "$@"{f" >{into}" if into else ""}', console_script("cerebrum"), *words]
    environment = {"CEREBRUM_URL": url, **environment}
    with terminal(*command, home=home, folder=home, size=size, **environment) as found:
        found.plain = found.plain or into is not None
        yield found


@contextlib.contextmanager
def terminal(
    *command: str, home: Path, folder: Path, size: tuple[int, int] = (30, 100), **environment: str
) -> Iterator[Terminal]:
    """Starts a program; it is killed at the end if it has not ended."""
    child = pexpect.spawn(
        command[0],
        list(command[1:]),
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            **environment,
        },
        cwd=str(folder),
        dimensions=size,
        encoding="utf-8",
        codec_errors="replace",
        timeout=SECONDS,
    )
    child.delaybeforesend = None
    try:
        yield Terminal(child, plain=environment.get("TERM") == "dumb")
    finally:
        if child.isalive():
            child.kill(signal.SIGKILL)
        child.close(force=True)
