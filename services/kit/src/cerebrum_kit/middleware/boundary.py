"""The outer edge of an app: the request id, the one log line a request, its metrics, and every error's rendering."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cerebrum_kit import request_id
from cerebrum_kit.errors import CerebrumError, Internal, Renderer, render_openai
from cerebrum_kit.lifecycle import Lifecycle
from cerebrum_kit.logs import get_logger
from cerebrum_kit.metrics import HttpMetrics

log = get_logger(__name__)


class RequestIdMiddleware:
    """Accepts or makes `X-Request-ID`, binds it for logs and upstream calls, and echoes it; says which release answers,
    since two of them serve behind one socket during an upgrade, and keeps nobody's connection to one that is leaving.
    """

    def __init__(self, app: ASGIApp, *, release: str, lifecycle: Lifecycle) -> None:
        self.app = app
        self._release = (b"x-cerebrum-release", release.encode("ascii", "replace"))
        self._lifecycle = lifecycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        presented = next((value for name, value in scope["headers"] if name == b"x-request-id"), None)
        identifier = request_id.accept_or_make(presented)
        token = request_id.current_request_id.set(identifier)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", []),
                    (b"x-request-id", identifier.encode()),
                    self._release,
                    *([(b"connection", b"close")] if self._lifecycle.draining else []),
                ]
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        finally:
            request_id.current_request_id.reset(token)


@dataclass(frozen=True, slots=True)
class Answered:
    """A request that is over.

    Attributes:
        route: its template; `unmatched` where it was refused before one was looked for, or there is none.
        status: 0 where no answer began.
        outcome: `ok`, what the client did (`disconnected`, `client_too_slow`), or the error that it ended with, be it
            inside of a stream.
        seconds: from its head to the last byte.
    """

    route: str
    status: int
    outcome: str
    seconds: float


class ObserveMiddleware:
    """One log line and one count a request, when its last byte is sent or its client is gone.

    Args:
        answered: what else wants to know of it.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: HttpMetrics,
        answered: Callable[[Answered], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.app = app
        self._metrics = metrics
        self._answered = answered
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status, complete = self._clock(), 0, False

        async def watch(message: Message) -> None:
            nonlocal status, complete
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                complete = True

        with self._metrics.in_flight():
            try:
                await self.app(scope, receive, watch)
            finally:
                seconds = self._clock() - started
                route = getattr(scope.get("route"), "path", "unmatched")
                outcome = scope.get("cerebrum.outcome") or ("ok" if complete else "disconnected")
                key_id = scope.get("cerebrum.key_id")
                self._metrics.observe(route, scope["method"], status, outcome, seconds, key_id=key_id)
                self._answered(Answered(route, status, outcome, seconds))
                log.info(
                    "request",
                    method=scope["method"],
                    route=route,
                    status=status,
                    outcome=outcome,
                    seconds=round(seconds, 4),
                    key_id=key_id,
                )


# What a refused client may still send. Closing with unread data resets the connection, and a client that was busy
# sending would see the reset instead of the answer.
_DISCARD_BYTES = 16 * 1024 * 1024
_DISCARD_SECONDS = 2.0
_DISCARD_SILENCE = 0.25  # a client that sends nothing for so long is not busy sending


async def _discard(receive: Receive) -> None:
    """Reads the rest of a request's body while it comes, up to a bound in size and time."""
    left, loop = _DISCARD_BYTES, asyncio.get_running_loop()
    give_up = loop.time() + _DISCARD_SECONDS
    with contextlib.suppress(TimeoutError):
        while left > 0:
            async with asyncio.timeout_at(min(give_up, loop.time() + _DISCARD_SILENCE)):
                message = await receive()
            left -= len(message.get("body", b""))
            if not message.get("more_body", False):
                return


class ErrorMiddleware:
    """Turns whatever is raised inside into the dialect's error, as long as no response has started."""

    def __init__(self, app: ASGIApp, *, renderer: Renderer = render_openai) -> None:
        self.app = app
        self._renderer = renderer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, body_read = False, False

        async def watch(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        async def watched_receive() -> Message:
            nonlocal body_read
            message = await receive()
            body_read = body_read or not message.get("more_body", False)
            return message

        async def respond(error: CerebrumError) -> None:
            if not body_read and not any(name == b"expect" for name, _ in scope["headers"]):
                await _discard(watched_receive)
            await self._respond(error, scope, receive, send)

        try:
            await self.app(scope, watched_receive, watch)
        except ClientDisconnect:
            scope["cerebrum.outcome"] = "disconnected"
        except CerebrumError as exc:
            if started:
                raise
            if exc.status >= 500:
                log.warning("request failed", code=exc.code, reason=exc.message)
            await respond(exc)
        except Exception:
            log.exception("unexpected error")
            if started:
                raise
            await respond(Internal())

    async def _respond(self, error: CerebrumError, scope: Scope, receive: Receive, send: Send) -> None:
        scope["cerebrum.outcome"] = error.counted_as
        body = self._renderer(error, request_id.current_request_id.get())
        await JSONResponse(body, error.status, headers=error.headers)(scope, receive, send)
