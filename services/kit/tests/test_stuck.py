"""Work that does not move: the service says so, and its service manager is not told that all is well."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from cerebrum_kit.app import AppOptions, build_app
from cerebrum_kit.lifecycle import Lifecycle
from cerebrum_kit.server.runner import _Server


@asynccontextmanager
async def nothing(_app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    yield {}


def make_app(lifecycle: Lifecycle) -> FastAPI:
    return build_app(
        AppOptions(
            service="probe",
            version="1",
            release="1",
            lifecycle=lifecycle,
            registry=CollectorRegistry(),
            lifespan=nothing,
            max_body_bytes=1000,
        )
    )


async def test_health_is_503_while_something_is_stuck() -> None:
    lifecycle = Lifecycle()
    lifecycle.problem = None
    transport = httpx.ASGITransport(app=make_app(lifecycle))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await client.get("/health")).status_code == 200
        lifecycle.stuck = lambda: "model a has computed nothing for 99 s"
        answer = await client.get("/health")
        assert answer.status_code == 503
        assert (answer.json()["status"], answer.json()["problem"]) == ("stuck", lifecycle.stuck())
        lifecycle.stuck = lambda: None
        assert (await client.get("/health")).status_code == 200


async def test_watchdog_is_not_fed_while_something_is_stuck() -> None:
    lifecycle = Lifecycle()
    states = iter([None, "stuck", "stuck", None])
    done, fed = asyncio.Event(), list[dict[str, str]]()
    looks = 0

    def stuck() -> str | None:
        nonlocal looks
        looks += 1
        state = next(states, None)
        if looks > 4:
            done.set()
        return state

    class Recorder:
        watchdog_seconds = None

        def notify(self, **fields: str) -> None:
            fed.append({"look": str(looks), **fields})

    lifecycle.stuck = stuck
    server = _Server(uvicorn.Config(make_app(lifecycle)), lifecycle, 1.0)
    server._notifier = Recorder()  # type: ignore[assignment]  # it has all that is used
    feeding = asyncio.create_task(server._feed_watchdog(0.0))
    await done.wait()
    feeding.cancel()
    with suppress(asyncio.CancelledError):
        await feeding
    assert [one["look"] for one in fed if "WATCHDOG" in one][:3] == ["1", "4", "5"]
