"""The person at the terminal: one question at a time, asked again until the answer can be taken."""

from __future__ import annotations

import contextlib
import os
import sys
import termios
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from prompt_toolkit import prompt

from scripts.inventory.answers import Refused, password, secret, site_name
from scripts.inventory.questions import Question, read

# It would ask the terminal where its cursor is, and some never answer.
os.environ.setdefault("PROMPT_TOOLKIT_NO_CPR", "1")
Answer = TypeVar("Answer")


@contextlib.contextmanager
def quiet_terminal() -> Iterator[None]:
    """What is typed or pasted between two questions is not echoed: it may be a secret."""
    before = termios.tcgetattr(sys.stdin)
    quiet = termios.tcgetattr(sys.stdin)
    quiet[3] &= ~termios.ECHO
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def ask_all(wanted: Sequence[Question], texts: Mapping[str, str]) -> dict[str, Any]:
    """What flags do not say is asked.

    Raises:
        Refused: a flag's value is none.
    """
    for question in wanted:  # flags that are wrong are told before anything is asked
        if question.field in texts:
            read(question, texts[question.field])
    found: dict[str, Any] = {}
    for question in wanted:
        if question.field in texts:
            found[question.field] = read(question, texts[question.field])
        elif question.asked(found):
            found[question.field] = _ask(question)
        elif question.default is not None:
            found[question.field] = question.parse(question.default)
    return found


def ask_name() -> str:
    return _until_taken("Name of the inventory [home]: ", lambda text: site_name(text.strip() or "home"))


def ask_secret(words: str, what: str) -> str:
    """Not echoed; empty for none."""
    return _until_taken(f"{words}: ", lambda text: secret(text, what), hidden=True)


def ask_password(words: str) -> str:
    """Not echoed, and asked twice; empty for none."""
    while True:
        found = _until_taken(f"{words}: ", lambda text: password(text) if text else "", hidden=True)
        if not found or prompt("The same again: ", is_password=True) == found:
            return found
        print("  The two differ.")


def _ask(question: Question) -> Any:
    print()
    for line in question.help:
        print(line)
    default = question.default
    shown = f"{question.words} [{default}]: " if default else f"{question.words}: "
    return _until_taken(shown, lambda text: question.parse(text.strip() or default or ""))


def _until_taken(shown: str, parse: Callable[[str], Answer], *, hidden: bool = False) -> Answer:
    while True:
        try:
            return parse(prompt(shown, is_password=hidden))
        except Refused as exc:
            print(f"  {exc}")
