"""One answer, from the request to its receipt."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass, field
from typing import Any

from cerebrum_cli.answer.paint import Painter
from cerebrum_cli.client import EdgeClient
from cerebrum_cli.screen import Screen
from cerebrum_kit.errors import ConfigurationError


@dataclass(slots=True)
class Answer:
    """What has come so far.

    Attributes:
        done: the last event, once it has come.
    """

    prompt: str
    language: str | None = None
    pieces: list[str] = field(default_factory=list)
    done: dict[str, Any] | None = None

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def show_answer(
    client: EdgeClient, body: dict[str, Any], screen: Screen, answer: Answer, *, painted_as: str | None = None
) -> dict[str, Any]:
    """Writes the tokens as they come.

    However it ends, with an error or an interrupt, the connection is closed (which frees the backend's slot), what was
    held back is shown, and the line is ended.

    Args:
        answer: is filled on the way.
        painted_as: the language of text outside of fences.

    Returns:
        the last event.
    """
    painter = Painter(language=painted_as, colour=screen.able.colour) if screen.able.terminal else None
    try:
        screen.wait()
        for_sure_text(body["prompt"])
        with contextlib.closing(client.stream(body)) as events:
            for event in events:
                if event.get("done"):
                    answer.done = event
                    break
                answer.pieces.append(event["token"])
                screen.write(painter.feed(event["token"]) if painter else event["token"])
    finally:
        screen.stop_waiting()
        if painter is not None:
            screen.write(painter.finish())
        # What was cut stays as it came where a program reads it.
        if (answer.done or screen.able.terminal) and answer.pieces and not answer.pieces[-1].endswith("\n"):
            screen.write("\n")
    return answer.done or {}


def collect_answer(client: EdgeClient, body: dict[str, Any]) -> dict[str, Any]:
    """The whole answer and its receipt as one object."""
    for_sure_text(body["prompt"])
    pieces: list[str] = []
    with contextlib.closing(client.stream(body)) as events:
        for event in events:
            if event.get("done"):
                facts = {name: value for name, value in event.items() if name != "done"}
                return {"text": "".join(pieces), **facts}
            pieces.append(event["token"])
    raise AssertionError("a stream ends with its last event or an error")


def for_sure_text(prompt: str) -> None:
    """Raises ConfigurationError where what a terminal or an argument gave is not text."""
    try:
        prompt.encode()
    except UnicodeEncodeError as exc:
        raise ConfigurationError(f"the prompt is not UTF-8 text (at character {exc.start})") from None


def read_standard_input() -> str:
    """All of it.

    Raises:
        ConfigurationError: it is not text.
    """
    if sys.stdin is None:
        return ""
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as exc:
        raise ConfigurationError(f"standard input is not UTF-8 text (at byte {exc.start})") from None
