"""Puts the edge together."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypedDict

from fastapi import FastAPI

from cerebrum_edge import __version__
from cerebrum_edge.api import completions, condensing, infill, meta, openai
from cerebrum_edge.api.resources import Resources
from cerebrum_edge.guard.admission import Limits
from cerebrum_edge.guard.balance import Candidate
from cerebrum_edge.guard.breaker import Breaker, BreakerPolicy
from cerebrum_edge.guard.gate import Gate
from cerebrum_edge.metrics import BreakerStates, EdgeMetrics
from cerebrum_edge.relay.foreign_upstream import upstream_of
from cerebrum_edge.relay.pool import Member, Pool
from cerebrum_edge.relay.relay import Relay
from cerebrum_edge.relay.survival import SurvivalPolicy
from cerebrum_edge.relay.upstream import Timeouts, new_session
from cerebrum_edge.settings import EdgeSettings
from cerebrum_kit.app import AppOptions, build_app
from cerebrum_kit.keys import KeyRing
from cerebrum_kit.lifecycle import Lifecycle
from cerebrum_kit.logs import get_logger
from cerebrum_kit.metrics import new_registry
from cerebrum_kit.settings import credential

log = get_logger(__name__)
_START_PROBE_SECONDS = 0.5


class State(TypedDict):
    resources: Resources


def create_app(
    settings: EdgeSettings,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> FastAPI:
    """The edge app. It has reached a backend before it serves, or says in its status that it has not.

    Raises:
        ConfigurationError: the key file cannot be used.
    """
    lifecycle = Lifecycle(clock=clock)
    registry = new_registry("edge", __version__, settings.release)
    metrics = EdgeMetrics(registry, [backend.name for backend in settings.backends])
    candidates = [Candidate(backend.name, Breaker(_breaker_policy(settings))) for backend in settings.backends]
    registry.register(BreakerStates({one.name: one.breaker for one in candidates}, clock))
    closed = settings.api_keys_file is not None and not settings.open
    keys = KeyRing(credential(settings.api_keys_file)) if closed and settings.api_keys_file else None

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[State]:
        timeouts = Timeouts(
            settings.connect_timeout, settings.first_byte_timeout, settings.idle_timeout, settings.total_timeout
        )
        fallback = settings.api_key.get_secret_value() if settings.api_key else None
        async with new_session(timeouts) as session:
            members = [
                Member(
                    upstream_of(
                        backend,
                        session,
                        timeouts,
                        fallback_key=fallback,
                        answered=partial(metrics.backend_answered, backend.name),
                    ),
                    candidate,
                )
                for backend, candidate in zip(settings.backends, candidates, strict=True)
            ]
            pool = Pool(members, metrics=metrics, clock=clock)
            survival = SurvivalPolicy(resume_seconds=settings.resume_timeout)
            relay = Relay(pool, survival, metrics=metrics, clock=clock)
            limits = Limits(settings.max_inflight, settings.max_queue, settings.queue_timeout)
            gate = Gate(limits, metrics=metrics, clock=clock)
            await first_probe(pool, give_up=clock() + settings.ready_timeout, clock=clock)
            lifecycle.problem = pool.problem
            watcher = asyncio.create_task(pool.watch(lambda problem: setattr(lifecycle, "problem", problem)))
            try:
                yield State(resources=Resources(settings, relay, gate, metrics, lifecycle, clock))
            finally:
                watcher.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await watcher

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
            answered=metrics.answered,
        )
    )
    for router in (completions.router, condensing.router, openai.router, infill.router):
        app.include_router(router)
    app.include_router(meta.router)
    return app


async def first_probe(pool: Pool, *, give_up: float, clock: Callable[[], float]) -> None:
    """Probes until a backend answers or the time is over."""
    while True:
        await asyncio.gather(*(pool.probe(member) for member in pool.members))
        if pool.available or clock() >= give_up:
            return
        await asyncio.sleep(_START_PROBE_SECONDS)


def _breaker_policy(settings: EdgeSettings) -> BreakerPolicy:
    return BreakerPolicy(failure_threshold=settings.failure_threshold, cooldown=settings.cooldown)
