"""Starts a conversation, or obeys a pipe."""

from __future__ import annotations

import io
import os
import sys

from cerebrum_cli.asking import read_standard_input
from cerebrum_cli.client import EdgeClient
from cerebrum_cli.history import History, history_path
from cerebrum_cli.repl.commands import split_script
from cerebrum_cli.repl.readers import EditorReader, PlainReader, Reader
from cerebrum_cli.repl.session import Session
from cerebrum_cli.screen import Screen
from cerebrum_kit.errors import ConfigurationError


def converse(client: EdgeClient, screen: Screen, *, secret: str | None) -> None:
    """A conversation with whoever sits at the terminal.

    Args:
        secret: what must never be remembered.
    """
    history = History(history_path(), secret=secret)
    session = Session(client, screen, history)
    reader: Reader
    if screen.able.edits:
        # A terminal that does not say where its cursor is gets a warning in the middle of its first prompt otherwise.
        os.environ.setdefault("PROMPT_TOOLKIT_NO_CPR", "1")
        reader = EditorReader(history, colour=screen.able.colour, model_ids=session.model_ids)
    else:
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(errors="surrogateescape")  # what is not text is refused when it would be sent
        reader = PlainReader(sys.stdin, sys.stderr)
    session.run(reader)


def obey_pipe(client: EdgeClient, screen: Screen) -> bool:
    """Standard input as one prompt, with commands on the lines before it. False where something could not be done."""
    commands, prompt = split_script(read_standard_input())
    if not commands and not prompt.strip():
        raise ConfigurationError("nothing came on standard input; cerebrum --help says what can be asked")
    session = Session(client, screen, History(history_path()), script=True)
    for command in commands:
        if not session.take(command) or session.failures:
            return not session.failures
    if prompt.strip():
        session.take(prompt)
    return not session.failures
