"""The client's side of HTTP for the edge's benchmark, sans-IO: requests, where an answer ends, whether it is right.

While an answer comes, its bytes are only kept; what it says is looked at afterwards, outside the measured time.
"""

from __future__ import annotations

import json
import re
from typing import Any

from benchmarks.edge_shapes import Api, text
from benchmarks.load import RequestFailed, parse, unchunked

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked", re.IGNORECASE)
_END = b"\r\n0\r\n\r\n"
PROMPT = "def fibonacci(n):"


def content_length(head: bytes) -> int | None:
    found = _LENGTH.search(head)
    return int(found[1]) if found else None


def fields(api: Api, *, model: str, tokens: int, stream: bool) -> dict[str, Any]:
    """A request's JSON body; the same one for the backend and for whatever stands in front of it."""
    common: dict[str, Any] = {"model": model, "max_tokens": tokens, "temperature": 0}
    if api == "native":
        return {"prompt": PROMPT, **common}
    asked = {"messages": [{"role": "user", "content": PROMPT}]} if api == "chat" else {"prompt": PROMPT}
    return {**asked, **common, "stream": stream}


def post(host: str, path: str, body: dict[str, Any]) -> bytes:
    """The bytes of a request. The key is for peers that insist on one; nothing here checks it."""
    content = json.dumps(body).encode()
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {host}",
        "Content-Type: application/json",
        "Authorization: Bearer sk-bench",
        f"Content-Length: {len(content)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


class Answer:
    """One answer as it comes in.

    Attributes:
        asked: when its request was sent.
        first: when its first event, or the first byte of a body that is no stream, had come.
        ended: when it was whole; None until then.
        last: the server closes the connection behind it.
    """

    def __init__(self, asked: float) -> None:
        self.asked = asked
        self.first: float | None = None
        self.ended: float | None = None
        self.last = False
        self._parts: list[bytes] = []
        self._begun = False
        self._left: int | None = None
        self._tail = b""
        self._events = False

    @property
    def raw(self) -> bytes:
        return b"".join(self._parts)

    def feed(self, data: bytes, now: float) -> bool:
        """Takes what came; whether the answer is whole."""
        self._parts.append(data)
        if not self._begun:
            head, found, data = self.raw.partition(b"\r\n\r\n")
            if not found:
                return False
            self._begun = True
            head = head.lower()
            self._events = b"text/event-stream" in head
            self.last = b"\r\nconnection: close" in head
            self._left = None if _CHUNKED.search(head) else content_length(head) or 0
            # An empty body in chunks is its end alone, which then follows the head's empty line.
            self._tail = b"\r\n"
        if self.first is None and data and (not self._events or b"data:" in data):
            self.first = now
        if self._left is None:
            self._tail = (self._tail + data)[-len(_END) :]
            whole = self._tail == _END
        else:
            self._left -= len(data)
            whole = self._left <= 0
        if whole:
            self.ended = now
        return whole


def problem(answer: Answer, tokens: int, *, stream: bool) -> str | None:
    """What is wrong with an answer that should hold the text of so many tokens; None where nothing is."""
    expected = text(tokens)
    try:
        found = parse(answer.asked, [(0.0, answer.raw)]) if stream else None
        given, complete = (found.text, found.complete) if found else (_whole_text(answer.raw), True)
    except (RequestFailed, ValueError, KeyError, IndexError, TypeError) as exc:
        return f"{type(exc).__name__}: {exc}"[:300]
    if not complete:
        return "the stream ended without its end"
    if given != expected:
        return f"another text, {len(given)} characters instead of {len(expected)}: {given[-60:]!r}"
    return None


def status(raw: bytes) -> int:
    """The status code of an answer; 0 where it is none."""
    found = re.match(rb"HTTP/1\.[01] (\d{3})", raw)
    return int(found[1]) if found else 0


def _whole_text(raw: bytes) -> str:
    head, _, body = raw.partition(b"\r\n\r\n")
    if status(raw) != 200:
        raise RequestFailed(raw[:2000].decode("utf-8", "replace") or "the server closed the connection")
    if _CHUNKED.search(head):
        body = b"".join(part for _, part in unchunked([(0.0, body)]))
    payload = json.loads(body)
    if "choices" not in payload:
        return str(payload["text"])
    choice = payload["choices"][0]
    return str(choice["text"] if "text" in choice else choice["message"]["content"])
