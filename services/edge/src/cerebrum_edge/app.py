"""Puts the edge together."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypedDict

import httpx
from fastapi import FastAPI

from cerebrum_edge import __version__
from cerebrum_edge.api import completions, meta
from cerebrum_edge.api.resources import Resources
from cerebrum_edge.guard.admission import Limits
from cerebrum_edge.guard.gate import Gate
from cerebrum_edge.metrics import EdgeMetrics
from cerebrum_edge.relay.upstream import Upstream
from cerebrum_edge.settings import EdgeSettings
from cerebrum_kit.app import AppOptions, build_app
from cerebrum_kit.errors import CerebrumError
from cerebrum_kit.keys import KeyRing
from cerebrum_kit.lifecycle import Lifecycle
from cerebrum_kit.logs import get_logger
from cerebrum_kit.metrics import new_registry
from cerebrum_kit.settings import credential

log = get_logger(__name__)
_PROBE_SECONDS = 10.0
_START_PROBE_SECONDS = 0.5


class State(TypedDict):
    resources: Resources


def create_app(
    settings: EdgeSettings,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> FastAPI:
    """The edge app. It has reached its backend before it serves, or says in its status that it has not.

    Args:
        transport: how backends are reached; the network by default.

    Raises:
        ConfigurationError: the key file cannot be used.
    """
    backend = settings.backends[0]
    lifecycle = Lifecycle(clock=clock)
    registry = new_registry("edge", __version__, settings.release)
    metrics = EdgeMetrics(registry, [backend.name])
    keys = None if settings.api_keys_file is None else KeyRing(credential(settings.api_keys_file))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[State]:
        upstream = Upstream(
            backend,
            metrics=metrics,
            clock=clock,
            connect_timeout=settings.connect_timeout,
            idle_timeout=settings.idle_timeout,
            fallback_key=settings.api_key.get_secret_value() if settings.api_key else None,
            transport=transport,
        )
        gate = Gate(
            Limits(settings.max_inflight, settings.max_queue, settings.queue_timeout), metrics=metrics, clock=clock
        )
        lifecycle.problem = await first_probe(upstream, give_up=clock() + settings.ready_timeout, clock=clock)
        watcher = asyncio.create_task(_watch(upstream, lifecycle))
        try:
            yield State(resources=Resources(settings, upstream, gate, metrics, lifecycle, clock))
        finally:
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher
            await upstream.close()

    app = build_app(
        AppOptions(
            service="edge",
            version=__version__,
            release=settings.release,
            lifecycle=lifecycle,
            registry=registry,
            lifespan=lifespan,
            max_body_bytes=settings.max_body_bytes,
            keys=keys,
            open_paths=("/health",),
            allowed_hosts=settings.allowed_hosts,
        )
    )
    app.include_router(completions.router)
    app.include_router(meta.router)
    return app


async def first_probe(upstream: Upstream, *, give_up: float, clock: Callable[[], float]) -> str | None:
    """Probes until the backend answers or the time is over; what is wrong, or None."""
    while True:
        problem = await probe(upstream)
        if problem is None or clock() >= give_up:
            return problem
        await asyncio.sleep(_START_PROBE_SECONDS)


async def probe(upstream: Upstream) -> str | None:
    """Asks the backend for its models, which takes a valid key; what is wrong, or None."""
    try:
        await upstream.models(fresh=True)
    except CerebrumError as exc:
        return f"backend {upstream.backend.name}: {exc.message}"
    return None


async def _watch(upstream: Upstream, lifecycle: Lifecycle) -> None:
    while True:
        await asyncio.sleep(_PROBE_SECONDS)
        try:
            lifecycle.problem = await probe(upstream)
        except Exception:  # the watcher must outlive whatever it meets; the next probe tells the truth again
            log.exception("probe failed")
            lifecycle.problem = f"backend {upstream.backend.name}: the probe failed"
