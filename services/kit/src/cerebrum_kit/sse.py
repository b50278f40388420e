"""Server-sent events, sans-IO: bytes in, events out, and back.

The format is the WHATWG's (https://html.spec.whatwg.org/multipage/server-sent-events.html). The decoder accepts any
split of the bytes, every line ending and a byte order mark, holds back half a UTF-8 character, and bounds what it
buffers. It cannot know whether a stream that ends is complete: that takes a terminal event of the dialect, which
the caller must insist on.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

KEEP_ALIVE = b": keep-alive\n\n"
DONE = b"data: [DONE]\n\n"
_LINE_END = re.compile(r"\r\n?|\n")


class SSEError(ValueError):
    """The peer sent something that is not a server-sent event stream."""


@dataclass(frozen=True, slots=True)
class Event:
    data: str
    event: str = "message"
    id: str | None = None


def encode(data: str, *, event: str | None = None) -> bytes:
    """One event; every line ending inside `data` starts a further `data:` line, as the format wants."""
    head = f"event: {event}\n" if event else ""
    lines = data.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return (head + "".join(f"data: {line}\n" for line in lines) + "\n").encode()


def encode_json(payload: Any, *, event: str | None = None) -> bytes:
    """One event that carries `payload` as compact JSON."""
    body = json.dumps(payload, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {body}\n\n".encode()


class Decoder:
    """Turns chunks of bytes into events.

    Args:
        max_event_bytes: how much one event, or one line without an end, may hold before `SSEError` is raised.
    """

    def __init__(self, *, max_event_bytes: int = 1 << 20) -> None:
        self._utf8 = codecs.getincrementaldecoder("utf-8")("strict")
        self._limit = max_event_bytes
        self._buffer = ""
        self._broken: SSEError | None = None
        self._first = True
        self._after_cr = False
        self._data: list[str] = []
        self._size = 0
        self._event = ""
        self._id: str | None = None

    def feed(self, chunk: bytes) -> list[Event]:
        """Takes the next bytes and returns the events that they complete.

        What came whole before the bytes went wrong is returned first; the error is raised by the next call.

        Raises:
            SSEError: the bytes are not UTF-8, or an event is larger than allowed.
        """
        events: list[Event] = []
        try:
            if self._broken is not None:
                raise self._broken
            for line in self._lines(self._decode(chunk)):
                event = self._line(line)
                if event is not None:
                    events.append(event)
            self._check(len(self._buffer))
            if self._broken is not None:
                raise self._broken
        except SSEError as exc:
            self._broken = exc
            if not events:
                raise
        return events

    def finish(self) -> None:
        """No more bytes come. Raises SSEError where the last ones were wrong and it was not said yet."""
        if self._broken is not None:
            raise self._broken

    @property
    def pending(self) -> bool:
        """Whether the bytes so far end inside an event: a stream that stops here was cut."""
        return bool(self._buffer or self._data or self._event or self._utf8.getstate()[0])

    def _decode(self, chunk: bytes) -> str:
        """The text of `chunk`, or of its valid part, and then `_broken` says so."""
        try:
            text = self._utf8.decode(chunk)
        except UnicodeDecodeError as exc:
            self._broken = SSEError("the stream is not valid UTF-8")
            text = exc.object[: exc.start].decode()
        if self._first and text:
            text, self._first = text.removeprefix("\ufeff"), False
        if self._after_cr and text:
            text, self._after_cr = text.removeprefix("\n"), False
        return text

    def _lines(self, text: str) -> Iterator[str]:
        """The lines that `text` completes; the rest stays in the buffer."""
        searched = len(self._buffer)
        buffer, start = self._buffer + text, 0
        self._buffer = ""
        for ending in _LINE_END.finditer(buffer, searched):
            yield buffer[start : ending.start()]
            start = ending.end()
        self._after_cr = self._after_cr or buffer.endswith("\r")
        self._buffer = buffer[start:]

    def _line(self, line: str) -> Event | None:
        if not line:
            return self._dispatch()
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._check(len(value))
            self._size += len(value)
            self._data.append(value)
        elif field == "event":
            self._event = value
        elif field == "id" and "\0" not in value:
            self._id = value
        return None

    def _dispatch(self) -> Event | None:
        data, event = self._data, self._event
        self._data, self._event, self._size = [], "", 0
        if not data:
            return None
        return Event("\n".join(data), event or "message", self._id)

    def _check(self, more: int) -> None:
        if self._size + more > self._limit:
            raise SSEError(f"an event is larger than {self._limit} characters")
