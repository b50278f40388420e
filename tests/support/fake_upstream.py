"""A backend that misbehaves on demand: it speaks the real wire protocol and then does what no real one would."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from support.waiting import eventually

MODELS = {
    "object": "list",
    "data": [],
    "models": [{"id": "m", "name": "M", "languages": ["python"], "context": 512, "loaded": True, "fallback": True}],
}
Behaviour = Callable[[socket.socket], None]


def token(text: str, total: int) -> bytes:
    return b"data: " + json.dumps({"token": text, "total_tokens": total}).encode() + b"\n\n"


DONE = (
    b'data: {"done": true, "total_tokens": 2, "inference_time": 0.1, "model": "m", "finish_reason": "stop", '
    b'"tokens_per_second": 1.0}\n\n'
)
CLOSE_DELIMITED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def reset(connection: socket.socket) -> None:
    """Closes with RST instead of FIN, once the client has read all that was sent: a reset overtakes what it has not."""
    ends = connection.getpeername()[1], connection.getsockname()[1]
    eventually(lambda: unread(*ends) == 0, "a client that reads what it is sent")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def unread(reader: int, writer: int) -> int:
    """Bytes between two ports of this machine, and those that wait at the reader's end."""
    ports = [f"{port:04X}" for port in (reader, writer)]
    total = 0
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        found = [local.rpartition(":")[2], remote.rpartition(":")[2]]
        sending, waiting = (int(one, 16) for one in queues.split(":"))
        total += waiting if found == ports else sending if found == ports[::-1] else 0
    return total


class FakeUpstream:
    """Answers `/v1/models` as ours does, or with another listing, and everything else with `behaviour`."""

    def __init__(self, behaviour: Behaviour, listing: Any = MODELS) -> None:
        self.behaviour = behaviour
        self._listing = listing
        self.requests: list[bytes] = []
        self.client_gone = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Refuses whoever comes from now on. Closing alone would let the thread in `accept` take one more."""
        with contextlib.suppress(OSError):  # somebody has closed it before
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def wait_for_client_to_leave(self, connection: socket.socket) -> None:
        """Blocks until the peer closes."""
        with contextlib.suppress(OSError):
            while connection.recv(4096):
                pass
        self.client_gone.set()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while True:
                head = b""
                while b"\r\n\r\n" not in head:
                    data = connection.recv(65536)
                    if not data:
                        return
                    head += data
                # The body too: closing with unread data would send RST, and take what was sent with it.
                found = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
                while found and len(head.partition(b"\r\n\r\n")[2]) < int(found[1]):
                    head += connection.recv(65536)
                self.requests.append(head)
                if not head.startswith(b"GET /v1/models"):
                    try:
                        self.behaviour(connection)
                    except OSError:  # who has left before all was said is felt by saying it
                        self.client_gone.set()
                    return
                body = json.dumps(self._listing).encode()
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
                    % (len(body), body)
                )


@contextlib.contextmanager
def fake_upstream(behaviour: Behaviour) -> Iterator[FakeUpstream]:
    fake = FakeUpstream(behaviour)
    try:
        yield fake
    finally:
        fake.close()
