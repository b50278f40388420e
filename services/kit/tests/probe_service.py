"""A service of nothing but the kit, for tests that need a real process and a real socket."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI
from pydantic import Field

from cerebrum_kit import sse
from cerebrum_kit.app import AppOptions, build_app
from cerebrum_kit.errors import Overloaded, render_openai
from cerebrum_kit.keys import KeyRing
from cerebrum_kit.lifecycle import Lifecycle
from cerebrum_kit.logs import configure_logging
from cerebrum_kit.metrics import new_registry
from cerebrum_kit.responses import EventStreamResponse, JobResponse
from cerebrum_kit.server import ServerOptions, run
from cerebrum_kit.server.protocol import Limits
from cerebrum_kit.text import RequestModel, Text

lifecycle = Lifecycle()


class Echo(RequestModel):
    text: Annotated[Text, Field(min_length=1)]
    number: int = Field(1, ge=0)
    share: float = 0.5


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    lifecycle.problem = os.environ.get("PROBE_PROBLEM")
    yield {}


def make() -> FastAPI:
    keys = os.environ.get("PROBE_KEYS")
    app = build_app(
        AppOptions(
            service="probe",
            version="0",
            release="test",
            lifecycle=lifecycle,
            registry=new_registry("probe", "0", "test"),
            lifespan=lifespan,
            max_body_bytes=4096,
            keys=KeyRing(Path(keys)) if keys else None,
            open_paths=("/health",),
            allowed_hosts=("cerebrum.example",),
        )
    )
    started = asyncio.Event()
    ended = {name: asyncio.Event() for name in ("forever", "silent", "job", "flood")}

    @app.post("/echo")
    async def echo(body: Echo) -> dict[str, Any]:
        return body.model_dump()

    @app.get("/boom")
    async def boom(canary: str = "") -> None:
        local = canary  # what a traceback with local variables would show
        if local is not None:
            raise RuntimeError("the secret is hunter2")

    @app.get("/refuse")
    async def refuse() -> EventStreamResponse:
        @asynccontextmanager
        async def opened() -> AsyncIterator[AsyncIterator[bytes]]:
            raise Overloaded("no room", retry_after=1.2)
            yield

        return EventStreamResponse(opened, lifecycle=lifecycle, render_error=_error)

    @app.get("/forever")
    async def forever(fail_after: int = 0) -> EventStreamResponse:
        """Events without end, and a note when it was told to stop."""

        @asynccontextmanager
        async def opened() -> AsyncIterator[AsyncIterator[bytes]]:
            async def events() -> AsyncIterator[bytes]:
                count = 0
                while True:
                    count += 1
                    if fail_after and count > fail_after:
                        raise RuntimeError("the secret is hunter2")
                    yield sse.encode_json({"count": count})
                    await asyncio.sleep(0.01)

            try:
                yield events()
            finally:
                if not fail_after:
                    ended["forever"].set()

        return EventStreamResponse(opened, lifecycle=lifecycle, render_error=_error)

    @app.get("/slow")
    async def slow() -> EventStreamResponse:
        """A stream that takes long to open, and then fails to."""

        @asynccontextmanager
        async def opened() -> AsyncIterator[AsyncIterator[bytes]]:
            await asyncio.sleep(0.5)
            raise Overloaded("no room")
            yield

        return EventStreamResponse(opened, lifecycle=lifecycle, render_error=_error, keep_alive_seconds=0.1)

    @app.get("/silent")
    async def silent() -> EventStreamResponse:
        @asynccontextmanager
        async def opened() -> AsyncIterator[AsyncIterator[bytes]]:
            async def events() -> AsyncIterator[bytes]:
                await asyncio.Event().wait()
                yield b""

            try:
                yield events()
            finally:
                ended["silent"].set()

        return EventStreamResponse(opened, lifecycle=lifecycle, render_error=_error, keep_alive_seconds=0.2)

    @app.get("/flood")
    async def flood() -> EventStreamResponse:
        """Events without end as fast as they are read; who does not read them is given up soon."""

        @asynccontextmanager
        async def opened() -> AsyncIterator[AsyncIterator[bytes]]:
            async def events() -> AsyncIterator[bytes]:
                while True:
                    yield sse.encode_json({"filling": "x" * 65536})
                    await asyncio.sleep(0)  # a source that is never waited for would be the only one to run

            try:
                yield events()
            finally:
                ended["flood"].set()

        return EventStreamResponse(opened, lifecycle=lifecycle, render_error=_error, stall_seconds=0.5)

    @app.get("/job")
    async def job() -> JobResponse:
        async def work() -> dict[str, Any]:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended["job"].set()
            return {}

        return JobResponse(work, lifecycle=lifecycle)

    @app.get("/started")
    async def was_started() -> dict[str, bool]:
        """Answers once a job is in work."""
        async with asyncio.timeout(10):
            await started.wait()
        return {"started": True}

    @app.get("/ended/{name}")
    async def was_ended(name: str) -> dict[str, str]:
        """Answers once that stream or job was told to stop."""
        async with asyncio.timeout(10):
            await ended[name].wait()
        ended[name].clear()
        return {"ended": name}

    return app


def _error(error: Any) -> bytes:
    return sse.encode_json({**render_openai(error, "test"), "done": True})


if __name__ == "__main__":
    configure_logging("probe", os.environ.get("PROBE_LOG_LEVEL", "INFO"))
    limits = Limits(header_seconds=1.0, body_seconds=1.0, header_count=20, header_bytes=8192)
    run(make(), ServerOptions("127.0.0.1", 0, float(os.environ.get("PROBE_DRAIN", "1")), limits))
