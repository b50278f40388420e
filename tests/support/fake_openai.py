"""A server that speaks OpenAI's API, is not ours, and misbehaves on demand: what real ones do on bad days."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

from support.fake_upstream import CHUNKED, FakeUpstream, chunk

NAME = "org/model-7b"
LISTING = {"object": "list", "data": [{"id": NAME, "object": "model", "owned_by": "vllm", "max_model_len": 4096}]}
Turn = Callable[["Asked"], None]


def event(payload: Any, *, end: bytes = b"\r\n\r\n") -> bytes:
    """As servers built on sse-starlette end their lines."""
    return b"data: " + (payload if isinstance(payload, bytes) else json.dumps(payload).encode()) + end


def piece(text: str, reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": reason}
    return {"id": "cmpl-x", "object": "text_completion", "created": 7, "model": NAME, "choices": [choice]}


def delta(reason: str | None = None, **said: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": said, "logprobs": None, "finish_reason": reason}
    return {"id": "chatcmpl-x", "object": "chat.completion.chunk", "created": 7, "model": NAME, "choices": [choice]}


def usage(prompt: int, completion: int) -> dict[str, Any]:
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return {"id": "cmpl-x", "object": "text_completion", "created": 7, "model": NAME, "choices": [], "usage": counts}


class Asked:
    """A request that has come, and what is answered."""

    def __init__(self, fake: FakeOpenAI, connection: socket.socket, path: str, body: dict[str, Any]) -> None:
        self.path = path
        self.body = body
        self.connection = connection
        self._fake = fake

    def begin(self) -> None:
        self.connection.sendall(CHUNKED)

    def say(self, *payloads: Any) -> None:
        for payload in payloads:
            self.connection.sendall(chunk(payload if isinstance(payload, bytes) else event(payload)))

    def end(self) -> None:
        """The stream as it should end."""
        self.say(event(b"[DONE]"))
        self.connection.sendall(chunk(b""))

    def refuse(self, status: int, payload: Any, *headers: str) -> None:
        body = json.dumps(payload).encode()
        lines = [f"HTTP/1.1 {status} X", "content-type: application/json", f"content-length: {len(body)}", *headers]
        self.connection.sendall("\r\n".join(lines).encode() + b"\r\nconnection: close\r\n\r\n" + body)

    def client_leaves_within(self, seconds: float) -> bool:
        """Waits for that, no longer."""
        return bool(select.select([self.connection], [], [], seconds)[0])

    def wait_for_client_to_leave(self) -> None:
        self._fake.wait_for_client_to_leave(self.connection)


class FakeOpenAI(FakeUpstream):
    """Each turn answers one request for text; the last one answers all that follow."""

    def __init__(self, *turns: Turn) -> None:
        self._turns = list(turns)
        self._lock = threading.Lock()
        self.asked: list[Asked] = []
        self._came = threading.Event()
        super().__init__(self._answer, LISTING)

    def wait_until_asked(self) -> None:
        """Blocks until a first request for text has come."""
        assert self._came.wait(10), "nobody asked"

    def keys(self) -> set[str]:
        """The authorizations that were shown with any request."""
        lines = [line.decode() for head in self.requests for line in head.split(b"\r\n")]
        return {line.split(": ", 1)[1] for line in lines if line.lower().startswith(("authorization:", "x-api-key:"))}

    def _answer(self, connection: socket.socket) -> None:
        head, _, body = self.requests[-1].partition(b"\r\n\r\n")
        one = Asked(self, connection, head.split()[1].decode(), json.loads(body or b"{}"))
        if one.path == "/health":
            return one.refuse(404, {"detail": "Not Found"})
        with self._lock:
            self.asked.append(one)
            self._came.set()
            turn = self._turns.pop(0) if len(self._turns) > 1 else self._turns[0]
        turn(one)
        return None


@contextlib.contextmanager
def fake_openai(*turns: Turn) -> Iterator[FakeOpenAI]:
    fake = FakeOpenAI(*turns)
    try:
        yield fake
    finally:
        fake.close()
