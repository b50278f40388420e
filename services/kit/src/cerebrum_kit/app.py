"""Puts an app together: the middleware in its one right order, errors in our shape, health and metrics."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse

from cerebrum_kit.errors import InvalidRequest, UnprocessableRequest, error_for_status
from cerebrum_kit.keys import KeyRing
from cerebrum_kit.lifecycle import Lifecycle
from cerebrum_kit.metrics import HttpMetrics, Standing
from cerebrum_kit.middleware.boundary import Answered, ErrorMiddleware, ObserveMiddleware, RequestIdMiddleware
from cerebrum_kit.middleware.guards import AuthMiddleware, BodyLimitMiddleware, HostMiddleware, Network
from cerebrum_kit.openapi import DocumentedAPI

_FIELD = re.compile(r"[A-Za-z0-9_]+")
_TYPE_NAMES = frozenset({"str", "int", "float", "bool"})


@dataclass(frozen=True, slots=True)
class AppOptions:
    """What a service's app is made of.

    Attributes:
        service: its name in metrics and in `/health`.
        keys: the keys that it accepts; None admits everyone.
        open_paths: paths that need no key.
        answered: told of every request that is over.
    """

    service: str
    version: str
    release: str
    lifecycle: Lifecycle
    registry: CollectorRegistry
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[Any]]
    max_body_bytes: int
    keys: KeyRing | None = None
    open_paths: Collection[str] = ()
    allowed_hosts: Collection[str] = ()
    allowed_clients: Sequence[Network] = field(default_factory=tuple)
    answered: Callable[[Answered], None] = lambda _: None


def build_app(options: AppOptions) -> FastAPI:
    """A FastAPI app with the shared middleware and `/health`, `/ready`, `/metrics`; routes come from the service."""
    app = DocumentedAPI(
        title=f"Cerebrum {options.service}",
        version=options.version,
        lifespan=options.lifespan,
        docs_url=None,  # the interactive pages load their code from another machine
        redoc_url=None,
        middleware=[
            Middleware(RequestIdMiddleware, release=options.release, lifecycle=options.lifecycle),
            Middleware(
                ObserveMiddleware,
                metrics=HttpMetrics(options.service, options.registry),
                answered=options.answered,
            ),
            Middleware(ErrorMiddleware),
            Middleware(HostMiddleware, allowed_hosts=options.allowed_hosts),
            Middleware(
                AuthMiddleware,
                keys=options.keys,
                open_paths=options.open_paths,
                allowed_clients=options.allowed_clients,
            ),
            Middleware(BodyLimitMiddleware, max_bytes=options.max_body_bytes),
        ],
        exception_handlers={
            HTTPException: _raise_http,
            RequestValidationError: _raise_validation,
        },
    )
    app.state.lifecycle = options.lifecycle
    options.registry.register(Standing(options.service, options.lifecycle, options.keys))
    _add_probes(app, options)
    return app


async def _raise_http(_request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    messages = {
        400: "The body cannot be read as JSON: it is not UTF-8, or nested too deep.",
        404: "There is nothing at this path.",
        405: "This path does not take this method.",
    }
    message = messages.get(exc.status_code, str(exc.detail))
    raise error_for_status(exc.status_code, message, headers=dict(exc.headers or {})) from None


async def _raise_validation(_request: Request, exc: Exception) -> Response:
    """Names the first field at fault. Never repeats the input: it may be a prompt, and NaN is no JSON."""
    assert isinstance(exc, RequestValidationError)
    first: ErrorDetails = exc.errors()[0]
    path = ".".join(itertools.takewhile(_is_field, map(str, first["loc"][1:])))
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "json_invalid":
        raise InvalidRequest(f"The body is not valid JSON: {first.get('ctx', {}).get('error', message)}.") from None
    if first["type"] == "extra_forbidden":
        message = "no such field"
    more = len(exc.errors()) - 1
    tail = f" ({more} more problem{'s' if more > 1 else ''})" if more else ""
    raise UnprocessableRequest(f"{path or 'body'}: {message}{tail}", param=path or None) from None


def _is_field(part: str) -> bool:
    """Whether a part of an error's location is a field or an index; behind a union come the validator's own words."""
    return bool(_FIELD.fullmatch(part)) and part not in _TYPE_NAMES


def _add_probes(app: FastAPI, options: AppOptions) -> None:
    lifecycle = options.lifecycle

    def facts(stuck: str | None = None) -> dict[str, Any]:
        status = "draining" if lifecycle.draining else "ok" if lifecycle.ready else "degraded"
        return {
            "status": "stuck" if stuck else status,
            "service": options.service,
            "version": options.version,
            "release": options.release,
            "uptime": round(lifecycle.uptime, 3),
            "problem": stuck or lifecycle.problem,
        }

    # Where these say no, they give the facts and not an error.
    no: dict[int | str, dict[str, Any]] = {503: {"description": "The facts.", "content": {"application/json": {}}}}

    @app.get("/health", responses=no)
    async def health() -> JSONResponse:
        """Whether the process lives: 200 as long as it answers and its work, if it has some, moves on; else 503."""
        stuck = lifecycle.stuck()
        return JSONResponse(facts(stuck), 503 if stuck else 200)

    @app.get("/ready", responses=no)
    async def ready() -> JSONResponse:
        """Whether it can take work now: 200 or 503."""
        return JSONResponse(facts(), 200 if lifecycle.ready else 503)

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Prometheus text; rendered off the event loop, because it takes milliseconds."""
        body = await asyncio.to_thread(generate_latest, options.registry)
        return Response(body, media_type=CONTENT_TYPE_LATEST)
