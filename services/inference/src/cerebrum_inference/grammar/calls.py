"""From a model's text, in pieces as they come, to what a client may see: text, and calls of tools. Sans-IO."""

from __future__ import annotations

from dataclasses import dataclass

OPEN = "<tool_call>\n"
CLOSE = "}\n</tool_call>"
_HEAD = '{"name": "'
_MIDDLE = '", "arguments": '
_LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class CallStart:
    name: str


@dataclass(frozen=True, slots=True)
class CallArguments:
    """A piece of the arguments' JSON, as the model wrote it."""

    fragment: str


Event = TextDelta | CallStart | CallArguments


class ToolCallParser:
    """Takes a model's text and gives back what is certain of it.

    Text passes at once, except an end that may be the beginning of a call. What begins like a call and turns out to
    be none before its arguments begin is text again. A text that ends early gives what came of its call.
    """

    def __init__(self) -> None:
        self._held = ""
        self._state = self._text
        self._depth = 0
        self._quoted = self._escaped = False

    def feed(self, text: str) -> list[Event]:
        self._held += text
        events: list[Event] = []
        while self._held and self._state(events):
            pass
        return _joined(events)

    def finish(self) -> list[Event]:
        """The rest, when no more text comes: an end that was held back and begins no call."""
        # Half of a call's opening is text; of a call that has begun, nothing more is certain.
        plain = self._state == self._text and self._held
        events: list[Event] = [TextDelta(self._held)] if plain else []
        self._held = ""
        return events

    # Each state takes from what is held, and says whether the next may go on with the rest.

    def _text(self, events: list[Event]) -> bool:
        at = self._held.find(OPEN)
        if at < 0:
            keep = _beginning(self._held, OPEN)
            self._emit_text(events, len(self._held) - keep)
            return False
        self._emit_text(events, at)
        self._state = self._header
        return True

    def _header(self, events: list[Event]) -> bool:
        start = OPEN + _HEAD
        if not self._held.startswith(start):
            return False if start.startswith(self._held) else self._no_call(events)
        name, quote, rest = self._held[len(start) :].partition('"')
        if not quote:
            return False if len(name) <= _LONGEST_NAME else self._no_call(events)
        rest = quote + rest
        if not rest.startswith(_MIDDLE + "{"):
            return False if (_MIDDLE + "{").startswith(rest) else self._no_call(events)
        events.append(CallStart(name))
        self._held = rest[len(_MIDDLE) :]
        self._depth, self._quoted, self._escaped = 0, False, False
        self._state = self._arguments
        return True

    def _arguments(self, events: list[Event]) -> bool:
        for at, char in enumerate(self._held):
            if self._quoted:
                self._quoted = self._escaped or char != '"'
                self._escaped = char == "\\" and not self._escaped
            elif char == '"':
                self._quoted = True
            elif char in "{[":
                self._depth += 1
            elif char in "}]":
                self._depth -= 1
                if not self._depth:
                    events.append(CallArguments(self._held[: at + 1]))
                    self._held = self._held[at + 1 :]
                    self._state = self._closing
                    return True
        events.append(CallArguments(self._held))
        self._held = ""
        return False

    def _closing(self, events: list[Event]) -> bool:
        if CLOSE.startswith(self._held) and self._held != CLOSE:
            return False
        self._held = self._held.removeprefix(CLOSE)
        self._state = self._text
        return True

    def _no_call(self, events: list[Event]) -> bool:
        self._emit_text(events, len(OPEN))
        self._state = self._text
        return True

    def _emit_text(self, events: list[Event], size: int) -> None:
        if size:
            events.append(TextDelta(self._held[:size]))
            self._held = self._held[size:]


def _beginning(text: str, word: str) -> int:
    """How many characters at the end of `text` are the beginning of `word`."""
    return next((size for size in range(min(len(text), len(word) - 1), 0, -1) if text.endswith(word[:size])), 0)


def _joined(events: list[Event]) -> list[Event]:
    """Texts that follow each other as one."""
    result: list[Event] = []
    for event in events:
        if isinstance(event, TextDelta) and result and isinstance(result[-1], TextDelta):
            event = TextDelta(result.pop().text + event.text)  # type: ignore[union-attr]  # the line above says which
        result.append(event)
    return result
