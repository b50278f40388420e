"""How lines are typed: with an editor where the terminal can, in plain lines where it cannot."""

from __future__ import annotations

import contextlib
import sys
import termios
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from typing import Protocol, TextIO

from prompt_toolkit import PromptSession
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.history import History as EditorHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.shortcuts import CompleteStyle

from cerebrum_cli.history import History
from cerebrum_cli.repl.commands import HELP, is_whole, without_end_mark
from cerebrum_cli.screen import is_terminal

PROMPT, CONTINUED = ">>> ", "... "


class Reader(Protocol):
    """Where the next prompt comes from."""

    def read(self, *, multi: bool) -> str:
        """What was typed until it was sent.

        Raises:
            EOFError: no more comes.
            KeyboardInterrupt: what was typed is to be dropped.
        """


class PlainReader:
    """Lines as the terminal's driver gives them: no escape sequence is ever written."""

    def __init__(self, keys: TextIO, out: TextIO) -> None:
        self._keys = keys
        self._out = out

    def read(self, *, multi: bool) -> str:
        text = self._line(PROMPT)
        while not is_whole(text, multi=multi):
            try:
                text += "\n" + self._line(CONTINUED)
            except EOFError:
                return text
        return without_end_mark(text, multi=multi)

    def _line(self, prompt: str) -> str:
        self._out.write(prompt)
        self._out.flush()
        try:
            line = self._keys.readline()
        except KeyboardInterrupt:
            self._out.write("\n")
            raise
        if not line:
            self._out.write("\n")
            raise EOFError
        return line.removesuffix("\n")


class EditorReader:
    """Lines with editing, history, search (Ctrl-R) and completion (Tab)."""

    def __init__(self, history: History, *, colour: bool, model_ids: Callable[[], Iterable[str]]) -> None:
        self._multi = False
        self._session: PromptSession[str] = PromptSession(
            PROMPT,
            multiline=True,
            prompt_continuation=CONTINUED,
            history=_Remembered(history),
            key_bindings=self._keys(),
            completer=_Commands(model_ids),
            complete_while_typing=False,
            complete_style=CompleteStyle.READLINE_LIKE,
            color_depth=None if colour else ColorDepth.DEPTH_1_BIT,
            enable_suspend=True,
            enable_open_in_editor=True,
        )

    def read(self, *, multi: bool) -> str:
        self._multi = multi
        return without_end_mark(self._session.prompt(), multi=multi)

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("enter")
        def _enter(event: KeyPressEvent) -> None:
            self._send_or_break(event.current_buffer, send=is_whole(event.current_buffer.text, multi=self._multi))

        @keys.add("escape", "enter")
        def _other(event: KeyPressEvent) -> None:
            self._send_or_break(event.current_buffer, send=self._multi)

        return keys

    def _send_or_break(self, buffer: Buffer, *, send: bool) -> None:
        if send:
            buffer.validate_and_handle()
        else:
            buffer.newline(copy_margin=False)


class _Remembered(EditorHistory):
    """The editor's view of the history, which the session adds to and forgets; the editor itself keeps nothing."""

    def __init__(self, history: History) -> None:
        super().__init__()
        self._history = history

    async def load(self) -> AsyncGenerator[str, None]:
        for entry in reversed(self._history.entries):
            yield entry

    def load_history_strings(self) -> Iterable[str]:
        return reversed(self._history.entries)

    def append_string(self, string: str) -> None:
        return

    def store_string(self, string: str) -> None:
        return


class _Commands(Completer):
    """Completes commands, and what goes behind `:model`, `:file` and `:save`."""

    def __init__(self, model_ids: Callable[[], Iterable[str]]) -> None:
        self._model_ids = model_ids
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        typed = document.text_before_cursor
        if not typed.startswith(":") or "\n" in typed:
            return
        name, space, rest = typed.partition(" ")
        if not space:
            yield from (Completion(f":{word}", -len(typed)) for word in HELP if f":{word}".startswith(typed))
        elif name in (":file", ":save", ":save!"):
            yield from self._paths.get_completions(Document(rest), complete_event)
        elif name == ":model":
            yield from (Completion(each, -len(rest)) for each in self._model_ids() if each.startswith(rest))


@contextlib.contextmanager
def keys_not_shown() -> Iterator[None]:
    """What is typed while an answer comes is kept for the next prompt, and is not shown in the middle of the answer."""
    stream = sys.stdin
    if not is_terminal(stream):
        yield
        return
    before = termios.tcgetattr(stream)
    quiet = [*before]
    quiet[3] = before[3] & ~termios.ECHO
    try:
        termios.tcsetattr(stream, termios.TCSADRAIN, quiet)
        yield
    finally:
        termios.tcsetattr(stream, termios.TCSADRAIN, before)
