"""A model hub that misbehaves on demand. It speaks the API that huggingface_hub downloads by: HEAD and GET of
/OWNER/REPO/resolve/REVISION/FILE, which send the client to another host, the "CDN", for the file itself.

Only the standard library: a lab host runs it as it is, `python3 fake_hub.py --address A --port P --files FOLDER`. Each
file of the folder is in every repository. `POST /_control` with JSON sets `Behaviour`'s fields; `GET /_requests` tells
what was asked.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

_STEP = 1 << 14


@dataclass
class Behaviour:
    """What the hub does; the defaults are what it should.

    Attributes:
        token: without it, the hub hides everything. The CDN asks for none.
        cut_after: bytes of an answer after which the connection ends. 0 for at once.
        stall_at: place in the file from which on nothing comes.
        rate: bytes a second.
        corrupt: a bit of every answer is turned around.
        redirect: where the file is said to be, instead of at the CDN.
        length: what is said of the file's size, and sent at most.
        surplus: bytes that come behind the file, and are announced.
        commit: the revision that is said to be served.
        etag: the hash that is said to be the file's; empty for none.
        status: answered to everything; error_code: the hub's own name for why.
        ranges: whether the CDN knows Range.
    """

    token: str | None = None
    cut_after: int | None = None
    stall_at: int | None = None
    rate: int | None = None
    corrupt: bool = False
    redirect: str | None = None
    length: int | None = None
    surplus: int = 0
    commit: str | None = None
    etag: str | None = None
    status: int | None = None
    error_code: str = ""
    ranges: bool = True


class FakeHub:
    def __init__(self, files: Path, address: str = "127.0.0.1", port: int = 0) -> None:
        self.files = files
        self.behaviour = Behaviour()
        self.requests: list[dict[str, Any]] = []
        self.over = threading.Event()
        self.sent = threading.Event()
        hub = self

        class Bound(_Handler):
            owner = hub

        class BoundCdn(_Cdn):
            owner = hub

        self._servers = [
            ThreadingHTTPServer((address, port), Bound),
            ThreadingHTTPServer((address, port + 1 if port else 0), BoundCdn),
        ]
        self.url, self.cdn = (f"http://{address}:{server.server_address[1]}" for server in self._servers)
        for server in self._servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        self.over.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def fetches(self) -> list[dict[str, Any]]:
        """What the CDN was asked for."""
        return [one for one in self.requests if one["host"] == "cdn" and one["method"] == "GET"]


class _Handler(BaseHTTPRequestHandler):
    """The hub's own host."""

    protocol_version = "HTTP/1.1"
    owner: FakeHub
    host = "hub"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its base calls it that)
        """Nobody reads it."""

    def do_HEAD(self) -> None:
        self._noted()
        self._resolve()

    def do_GET(self) -> None:
        if self.path == "/_requests":
            return self._plain(200, {}, json.dumps(self.owner.requests).encode())
        self._noted()
        return self._resolve()

    def do_POST(self) -> None:
        data = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.owner.behaviour = Behaviour(**data)
        self.owner.requests.clear()
        self._plain(200, {}, b"{}")

    def _noted(self) -> None:
        self.owner.requests.append(
            {
                "host": self.host,
                "method": self.command,
                "path": self.path,
                "range": self.headers.get("Range"),
                "authorization": self.headers.get("Authorization"),
            }
        )

    def _resolve(self) -> None:
        behaviour = self.owner.behaviour
        if behaviour.status:
            return self._plain(behaviour.status, {"X-Error-Code": behaviour.error_code}, b"{}")
        if behaviour.token and self.headers.get("Authorization") != f"Bearer {behaviour.token}":
            return self._plain(401, {"X-Error-Code": "RepoNotFound"}, b"{}")
        owner_repo, _, rest = self.path.lstrip("/").partition("/resolve/")
        revision, _, name = rest.partition("/")
        path = self.owner.files / unquote(name).rpartition("/")[2]
        if not owner_repo or not path.is_file():
            return self._plain(404, {"X-Error-Code": "EntryNotFound"}, b"{}")
        etag = hashlib.sha256(path.read_bytes()).hexdigest() if behaviour.etag is None else behaviour.etag
        headers = {
            "X-Repo-Commit": behaviour.commit or revision,
            "X-Linked-Size": str(behaviour.length or path.stat().st_size),
            "Location": behaviour.redirect or f"{self._cdn()}/{path.name}?signature=x",
        }
        return self._plain(302, headers | ({"X-Linked-Etag": f'"{etag}"'} if etag else {}), b"")

    def _cdn(self) -> str:
        """By the name that the client came by, which is not the one that a server listens on everywhere has."""
        own = (self.headers.get("Host") or "").rpartition(":")[0]
        return f"http://{own}:{self.owner.cdn.rpartition(':')[2]}"

    def _plain(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class _Cdn(_Handler):
    """The host that holds the bytes."""

    host = "cdn"

    def _resolve(self) -> None:
        behaviour = self.owner.behaviour
        data = (self.owner.files / self.path.partition("?")[0].lstrip("/")).read_bytes()
        if behaviour.corrupt:
            data = data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]
        data = data[: behaviour.length] + bytes(behaviour.surplus)
        wanted, start = self.headers.get("Range"), 0
        if wanted and behaviour.ranges:
            start = int(wanted.removeprefix("bytes=").partition("-")[0])
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if self.command == "GET":
            with contextlib.suppress(OSError):
                self._send(data[start:], start)

    def _send(self, data: bytes, start: int) -> None:
        behaviour, sent = self.owner.behaviour, 0
        stall = None if behaviour.stall_at is None else max(0, behaviour.stall_at - start)
        limit = min(one for one in (behaviour.cut_after, stall, len(data)) if one is not None)
        while sent < limit:
            step = min(_STEP, limit - sent)
            self.wfile.write(data[sent : sent + step])
            sent += step
            if behaviour.rate:
                time.sleep(step / behaviour.rate)
        self.wfile.flush()
        self.owner.sent.set()
        if behaviour.stall_at is not None:
            self.connection.settimeout(0.2)
            while not self.owner.over.is_set():
                try:
                    if not self.connection.recv(1):
                        break
                except TimeoutError:
                    continue
        if limit < len(data):
            self.close_connection = True


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--files", type=Path, required=True)
    arguments = parser.parse_args()
    FakeHub(arguments.files, arguments.address, arguments.port)
    threading.Event().wait()


if __name__ == "__main__":
    main()
