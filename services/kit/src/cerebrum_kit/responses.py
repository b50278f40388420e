"""Responses that end when they must: on completion, when the client leaves, or when the time to drain is over.

Both responses run their work inside the ASGI call, so that whatever the work holds (a slot, a permit, an upstream
connection) is released by its own `finally` exactly when the response is over, and not when an endpoint returns.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from cerebrum_kit import sse
from cerebrum_kit.errors import CerebrumError, Internal, ShuttingDown
from cerebrum_kit.lifecycle import Lifecycle
from cerebrum_kit.logs import get_logger

log = get_logger(__name__)

T = TypeVar("T")
OpenStream = Callable[[], AbstractAsyncContextManager[AsyncIterator[bytes]]]
KEEP_ALIVE_SECONDS = 15.0
# A client that reads nothing for so long, while what it gets fills every buffer on the way, is not coming back.
STALL_SECONDS = 30.0


class _Gone(Exception):
    """The client closed its connection."""


class _Stalled(Exception):
    """The client keeps its connection, and reads nothing."""


def shutting_down() -> ShuttingDown:
    """Names no time to wait: while a release takes the place of another, the new one answers already."""
    return ShuttingDown("The service is shutting down; try again.")


async def _client_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _supervise(work: Coroutine[Any, Any, T], receive: Receive, lifecycle: Lifecycle) -> T:
    """Runs `work` until it ends, the client leaves (`_Gone`) or the drain's time is over (`ShuttingDown`)."""
    job = asyncio.create_task(work)
    gone = asyncio.create_task(_client_gone(receive))
    why: list[Exception] = []

    def stop(reason: Exception) -> None:
        why.append(reason)
        job.cancel()

    gone.add_done_callback(lambda ended: None if ended.cancelled() or job.done() else stop(_Gone()))
    try:
        with lifecycle.at_expiry(lambda: stop(shutting_down())):
            await asyncio.wait([job])
        if why and job.cancelled():
            raise why[0]
        return job.result()  # it may have finished while it was being stopped
    finally:
        for task in (job, gone):
            task.cancel()
        await asyncio.gather(job, gone, return_exceptions=True)


class JobResponse(Response):
    """A JSON response computed inside the ASGI call: `work` is cancelled when nobody waits for its result.

    Args:
        work: gives what JSON can say, or JSON itself as bytes.
        headers: further headers, read when the work is done.
    """

    def __init__(
        self,
        work: Callable[[], Coroutine[Any, Any, Any]],
        *,
        lifecycle: Lifecycle,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.background = None
        self.status_code = 200
        self._work = work
        self._lifecycle = lifecycle
        self._further = {} if headers is None else headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            payload = await _supervise(self._work(), receive, self._lifecycle)
        except _Gone:
            scope["cerebrum.outcome"] = "disconnected"
            return
        kind = Response if isinstance(payload, bytes) else JSONResponse
        await kind(payload, headers=self._further, media_type="application/json")(scope, receive, send)


class EventStreamResponse(Response):
    """A stream of server-sent events.

    `open_stream` is entered before the first byte is sent, so that an error there still becomes an HTTP status, unless
    it takes longer than a keep-alive. After that an error becomes the dialect's own error event: a stream that fails
    never ends like one that is whole.

    Args:
        render_error: the event that ends the stream on an error.
        keep_alive_seconds: silence after which a comment is sent.
        stall_seconds: how long one write may wait for the client to read; then the connection is cut.
        headers: further headers, read when the answer begins.
    """

    def __init__(
        self,
        open_stream: OpenStream,
        *,
        lifecycle: Lifecycle,
        render_error: Callable[[CerebrumError], bytes],
        keep_alive_seconds: float = KEEP_ALIVE_SECONDS,
        stall_seconds: float = STALL_SECONDS,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.background = None
        self.status_code = 200
        self._open = open_stream
        self._lifecycle = lifecycle
        self._render_error = render_error
        self._keep_alive = keep_alive_seconds
        self._stall = stall_seconds
        self._further = {} if headers is None else headers
        self._started = False
        self._last_sent = 0.0
        self._sending = False
        self._stalled = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._answer(scope, receive, send)
        except _Stalled:
            log.warning("a stream was cut", reason=f"its client read nothing for {self._stall:g} s")
            scope["cerebrum.outcome"] = "client_too_slow"
            abort = scope.get("cerebrum.abort")
            if abort is not None:
                abort()

    async def _answer(self, scope: Scope, receive: Receive, raw_send: Send) -> None:
        send = self._patient(raw_send)
        try:
            await _supervise(self._run(send, raw_send), receive, self._lifecycle)
        except _Gone:
            scope["cerebrum.outcome"] = "disconnected"
            return
        except _Stalled:
            raise
        except Exception as exc:
            if not self._started:
                raise
            error = exc if isinstance(exc, CerebrumError) else Internal()
            if not isinstance(exc, CerebrumError):
                log.exception("a stream failed")
            else:
                log.warning("a stream ended with an error", code=exc.code, reason=exc.message)
            scope["cerebrum.outcome"] = error.counted_as
            await send({"type": "http.response.body", "body": self._render_error(error), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _patient(self, send: Send) -> Send:
        """`send` with an end to its patience; for events, which are many, a timer each would cost too much."""

        async def bounded(message: Message) -> None:
            try:
                async with asyncio.timeout(self._stall):
                    await send(message)
            except TimeoutError:
                raise _Stalled from None

        return bounded

    async def _run(self, send: Send, raw_send: Send) -> None:
        loop, run = asyncio.get_running_loop(), asyncio.current_task()
        assert run is not None
        self._last_sent = loop.time()
        beats: list[asyncio.Task[None]] = []
        # Most answers are over before there is silence to be filled.
        timer = loop.call_later(
            min(self._keep_alive, self._stall), lambda: beats.append(loop.create_task(self._beat(send, run)))
        )
        try:
            async with self._open() as events:
                await self._start(send)
                async for chunk in events:
                    self._last_sent, self._sending = loop.time(), True
                    await raw_send({"type": "http.response.body", "body": chunk, "more_body": True})
                    self._sending = False
        except asyncio.CancelledError:
            if self._stalled:
                raise _Stalled from None
            raise
        finally:
            timer.cancel()
            for beat in beats:
                beat.cancel()
                await asyncio.gather(beat, return_exceptions=True)

    async def _start(self, send: Send) -> None:
        if self._started:
            return
        self._started = True
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
            *((name.lower().encode(), value.encode()) for name, value in self._further.items()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    async def _beat(self, send: Send, run: asyncio.Task[None]) -> None:
        """Fills silence, and ends a run whose client does not read.

        Where it is long before the stream has opened (a model that loads), the answer begins all the same: whoever
        waits must know that somebody works, and an error then comes as an event.
        """
        loop = asyncio.get_running_loop()
        try:
            while True:
                silence = loop.time() - self._last_sent
                if self._sending:  # it waits for the client
                    if silence >= self._stall:
                        raise _Stalled
                    await asyncio.sleep(self._stall - silence)
                elif silence >= self._keep_alive:
                    self._last_sent = loop.time()
                    await self._start(send)
                    await send({"type": "http.response.body", "body": sse.KEEP_ALIVE, "more_body": True})
                else:
                    await asyncio.sleep(min(self._keep_alive - silence, self._stall))
        except _Stalled:
            self._stalled = True
            run.cancel()
