"""A backend without a model: the inference service's wire protocol, and tokens as fast as they can be written.

usage: python -m benchmarks.edge_upstream [--port 0]

Prints its port, and ends when its standard input does. Each event is written by itself, as the service does it; the
model `bench-paced` waits 5 ms before each token. Standard library only, because what it costs is in every figure.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys

from benchmarks.edge_shapes import (
    LAST_CHUNK,
    PACED,
    Ask,
    error,
    health,
    listing,
    read_ask,
    stream_chunks,
    whole,
)
from benchmarks.edge_wire import content_length

PACE_SECONDS = 0.005
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nserver: bench\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-store\r\nx-accel-buffering: no\r\nx-request-id: bench\r\ntransfer-encoding: chunked\r\n\r\n"
)
_READS = {"/v1/models": listing, "/health": health, "/ready": health}


def answer(body: bytes, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def stream(writer: asyncio.StreamWriter, ask: Ask) -> None:
    """Each event in a write of its own; `drain` waits only where the peer does not keep up."""
    writer.write(_STREAM_HEAD)
    chunks = stream_chunks(ask)
    clock = asyncio.get_running_loop().time
    began = clock()
    for at, chunk in enumerate(chunks):
        if ask.model == PACED:
            # By the clock and not by the last token, so that a slow machine does not pace more slowly.
            await asyncio.sleep(max(0.0, began + at * PACE_SECONDS - clock()))
        writer.write(chunk)
        await writer.drain()
    writer.write(LAST_CHUNK)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, as many requests as come on it."""
    with contextlib.suppress(asyncio.IncompleteReadError, OSError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(content_length(head) or 0)
            method, path, _ = head.split(b" ", 2)
            await respond(writer, method.decode("latin-1"), path.decode("latin-1"), body)
    writer.close()


async def respond(writer: asyncio.StreamWriter, method: str, path: str, body: bytes) -> None:
    if method == "GET" and path in _READS:
        writer.write(answer(_READS[path]()))
        return
    try:
        ask = read_ask(path, body) if method == "POST" else None
    except ValueError as exc:
        writer.write(answer(error("invalid_request", str(exc)), "400 Bad Request"))
        return
    if ask is None:
        writer.write(answer(error("not_found", f"There is no {method} {path}."), "404 Not Found"))
    elif ask.stream:
        await stream(writer, ask)
    else:
        writer.write(answer(whole(ask)))


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    over = asyncio.Event()

    def read() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            over.set()

    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), read)
    server = await asyncio.start_server(serve, "127.0.0.1", options.port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await over.wait()
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
