"""HTTP over a bare socket: for what a well-behaved client library would never send, or would hide."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from typing import Any

TIMEOUT = 20.0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The wire code of an error answer."""
        return str(self.json()["error"]["code"])


class RawClient:
    """One connection."""

    def __init__(self, port: int, *, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(TIMEOUT)
        self.socket.connect(("127.0.0.1", port))
        self._buffer = b""

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read_until(self, mark: bytes) -> bytes:
        """Everything up to and with `mark`. Raises EOFError where the peer closes before."""
        while mark not in self._buffer:
            self._more()
        head, _, self._buffer = self._buffer.partition(mark)
        return head + mark

    def read_exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._more()
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def read_to_end(self) -> bytes:
        """Everything until the peer closes."""
        try:
            while True:
                self._more()
        except (EOFError, ConnectionResetError):
            data, self._buffer = self._buffer, b""
            return data

    def answer(self) -> Answer:
        """One whole answer with a Content-Length."""
        head = self.read_until(b"\r\n\r\n").decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return Answer(int(first.split()[1]), headers, self.read_exactly(int(headers.get("content-length", "0"))))

    def is_closed(self) -> bool:
        """Waits for the peer to close; False if it sends something first."""
        return self.read_to_end() == b""

    def _more(self) -> None:
        chunk = self.socket.recv(65536)
        if not chunk:
            raise EOFError(f"closed after {self._buffer[:200]!r}")
        self._buffer += chunk


def request(path: str, body: bytes = b"", *, method: str = "POST", headers: tuple[str, ...] = ()) -> bytes:
    """A plain request with Host, JSON's content type and a right Content-Length."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
