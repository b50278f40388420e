"""The client: streams completions from a server and notes when each event came.

It shares the processors with what it measures, so while a stream runs it only notes bytes and times; HTTP and events
are taken apart afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import string
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Api = Literal["native", "openai"]
PATHS = {"native": "/v1/inference/stream", "openai": "/v1/completions"}
Received = list[tuple[float, bytes]]


@dataclass(frozen=True)
class Endpoint:
    """A way to reach a server.

    Attributes:
        extra: fields that only this server takes.
    """

    system: str
    pid: int
    port: int
    api: Api = "openai"
    headers: tuple[tuple[str, str], ...] = ()
    extra: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Ask:
    prompt: str | tuple[int, ...]
    max_tokens: int
    temperature: float = 0.8
    stop: tuple[str, ...] = ()


@dataclass
class Stream:
    """A stream that is over: when it was asked for, when each piece of text came, and its tokens."""

    asked: float
    times: list[float] = field(default_factory=list)
    tokens: int = 0
    text: str = ""
    complete: bool = False

    @property
    def ttft(self) -> float:
        return self.times[0] - self.asked

    @property
    def longest_gap(self) -> float:
        return max((later - one for one, later in zip(self.times, self.times[1:], strict=False)), default=0.0)


class RequestFailed(Exception):
    """A server answered with an error, or not completely."""


def prompt(tokens: int, seed: object, *, start: str = "") -> str:
    """Random text of so many tokens for a synthetic model, where a letter is one token; each seed its own."""
    source = random.Random(str(seed))  # noqa: S311 -- text for a benchmark, not a secret
    return start + "".join(source.choices(string.ascii_lowercase, k=tokens - len(start)))


def body(endpoint: Endpoint, ask: Ask) -> bytes:
    fields: dict[str, Any] = {
        "prompt": ask.prompt,
        "max_tokens": ask.max_tokens,
        "temperature": ask.temperature,
        "top_k": 40,
        "top_p": 1.0,
        "min_p": 0.0,
    }
    if ask.stop:
        fields["stop"] = ask.stop
    if endpoint.api == "openai":
        fields |= {"stream": True, "stream_options": {"include_usage": True}}
    return json.dumps({**fields, **dict(endpoint.extra)}).encode()


def request(endpoint: Endpoint, content: bytes) -> bytes:
    lines = [
        f"POST {PATHS[endpoint.api]} HTTP/1.1",
        f"Host: 127.0.0.1:{endpoint.port}",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
        "Connection: close",
        *(f"{name}: {value}" for name, value in endpoint.headers),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def unchunked(received: Received) -> Iterator[tuple[float, bytes]]:
    """The body out of chunked transfer coding, each part with the time at which it came."""
    left, data, between = 0, b"", False
    for at, more in received:
        data += more
        while data:
            if left:
                part, data = data[:left], data[left:]
                left -= len(part)
                between = not left
                yield at, part
            elif between:
                if len(data) < 2:
                    break
                data, between = data[2:], False
            else:
                line, found, rest = data.partition(b"\r\n")
                if not found:
                    break
                data, left = rest, int(line.split(b";")[0], 16)
                if not left:
                    return


def events(parts: Iterator[tuple[float, bytes]]) -> Iterator[tuple[float, str]]:
    """The `data` of each server-sent event, with the time at which it was whole."""
    rest = b""
    for at, part in parts:
        rest = (rest + part).replace(b"\r\n", b"\n")
        *whole, rest = rest.split(b"\n\n")
        for block in whole:
            lines = [line[5:].strip() for line in block.split(b"\n") if line.startswith(b"data:")]
            if lines:
                yield at, b"\n".join(lines).decode("utf-8", "replace")


def parse(asked: float, received: Received) -> Stream:
    """A stream out of what came.

    Raises:
        RequestFailed: another status than 200, or an error event.
    """
    everything = b"".join(part for _, part in received[:50])
    head, _, _ = everything.partition(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n", 1)[0]:
        raise RequestFailed(everything[:2000].decode("utf-8", "replace") or "the server closed the connection")
    skip, content = len(head) + 4, []
    for at, part in received:
        content.append((at, part[skip:]))
        skip = max(0, skip - len(part))
    chunked = b"transfer-encoding: chunked" in head.lower()
    stream, counted = Stream(asked), 0
    for at, data in events(unchunked(content) if chunked else iter(content)):
        if data == "[DONE]":
            stream.complete = True
            continue
        event = json.loads(data)
        if event.get("error"):
            raise RequestFailed(data)
        choices = event.get("choices") or [{}]
        delta = choices[0].get("delta") or {}
        text = event.get("token") or choices[0].get("text") or delta.get("content") or ""
        if text:
            stream.times.append(at)
            stream.text += text
            counted += 1
        stream.complete |= bool(event.get("done") or choices[0].get("finish_reason"))
        usage = event.get("usage") or {}
        stream.tokens = event.get("total_tokens") or usage.get("completion_tokens") or stream.tokens
    stream.tokens = stream.tokens or counted
    return stream


async def stream(
    endpoint: Endpoint, ask: Ask, *, on_read: Callable[[int], None] | None = None, leave_after: int | None = None
) -> Stream:
    """One completion.

    Args:
        on_read: called after each read with the number of reads so far.
        leave_after: close the connection after so many reads.
    """
    content = request(endpoint, body(endpoint, ask))
    received: Received = []
    asked = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
    try:
        writer.write(content)
        while data := await reader.read(65536):
            received.append((time.perf_counter(), data))
            if on_read is not None:
                on_read(len(received))
            if leave_after is not None and len(received) >= leave_after:
                break
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    result = parse(asked, received)
    if leave_after is None and not (result.complete and result.times):
        raise RequestFailed(f"{endpoint.system}: the stream ended without its end")
    return result


def run(work: Any, seconds: float) -> Any:
    """Runs a coroutine, `seconds` at most."""

    async def bounded() -> Any:
        async with asyncio.timeout(seconds):
            return await work

    return asyncio.run(bounded())


@dataclass(frozen=True)
class Window:
    """Streams that ran beside each other."""

    streams: tuple[Stream, ...]

    @property
    def tokens_per_second(self) -> float:
        began = min(one.asked for one in self.streams)
        ended = max(one.times[-1] for one in self.streams)
        return sum(one.tokens for one in self.streams) / (ended - began)


def together(endpoint: Endpoint, lanes: Sequence[Sequence[Ask]], seconds: float) -> Window:
    """Each lane's requests one after the other, the lanes at the same time."""

    async def lane(asks: Sequence[Ask]) -> list[Stream]:
        return [await stream(endpoint, ask) for ask in asks]

    async def work() -> list[list[Stream]]:
        return await asyncio.gather(*(lane(asks) for asks in lanes))

    return Window(tuple(one for lane_ in run(work(), seconds) for one in lane_))
