"""What the edge says of itself and of its backends. None of it is ever shed."""

from __future__ import annotations

from typing import Any

import psutil
from fastapi import APIRouter

from cerebrum_edge import __version__
from cerebrum_edge.api.resources import Deps, Resources
from cerebrum_edge.relay.pool import Member
from cerebrum_edge.relay.walk import walk
from cerebrum_kit.errors import CerebrumError

router = APIRouter()


@router.get("/")
async def root(deps: Deps) -> dict[str, Any]:
    return {
        "service": "cerebrum-edge",
        "version": __version__,
        "release": deps.settings.release,
        "endpoints": [
            "POST /v1/complete",
            "POST /v1/complete/stream",
            "POST /v1/condense",
            "POST /v1/chat/completions",
            "POST /v1/completions",
            "POST /infill",
            "GET /v1/models",
            "GET /v1/stats",
            "GET /v1/vps/health",
            "GET /v1/doctor",
            "GET /health",
            "GET /ready",
            "GET /metrics",
            "GET /openapi.json",
        ],
    }


@router.get("/v1/models")
@router.get("/models", include_in_schema=False)
async def models(deps: Deps) -> dict[str, Any]:
    """The backends' models, natively (`models`) and in OpenAI's form (`object`, `data`), in one object."""
    rows = await deps.relay.pool.models(fresh=True)
    return {
        "object": "list",
        "data": [{"id": row.id, "object": "model", "created": 0, "owned_by": "cerebrum"} for row in rows],
        "models": [
            {
                "id": row.id,
                "name": row.name,
                "languages": list(row.languages),
                "loaded": row.loaded,
                "context": row.context,
            }
            for row in rows
        ],
    }


@router.get("/v1/stats")
async def stats(deps: Deps) -> dict[str, Any]:
    totals = deps.totals
    return {
        "uptime": round(deps.lifecycle.uptime, 3),
        "requests_total": totals.requests,
        "requests_active": deps.gate.working,
        "requests_waiting": deps.gate.waiting,
        "vps_available": deps.relay.pool.available,
        "memory_mb": round(psutil.Process().memory_info().rss / 1e6, 1),
        "backends": [_backend(deps, member) for member in deps.relay.pool.members],
        "condensation": {
            "requests": totals.condensed,
            "before": totals.characters_before,
            "after": totals.characters_after,
        },
        "resumes": deps.relay.resumes,
    }


def _backend(deps: Resources, member: Member) -> dict[str, Any]:
    now, breaker = deps.clock(), member.candidate.breaker
    wait = member.candidate.retry_in(now)
    return {
        "name": member.name,
        "kind": member.upstream.backend.kind,
        "url": member.upstream.backend.url,
        "available": member.problem is None,
        "problem": member.problem,
        "outstanding": member.candidate.outstanding,
        "breaker": {
            "state": breaker.state(now),
            "failures": breaker.failures,
            "retry_in": round(wait, 1) if wait else None,
        },
    }


@router.get("/v1/vps/health")
@router.post("/v1/vps/health")
async def vps_health(deps: Deps) -> dict[str, Any]:
    """A backend's `/health`, asked now: the first one's that answers; an error where none does."""
    error: CerebrumError | None = None
    for member in deps.relay.pool.members:
        started = deps.clock()
        try:
            answer = await member.upstream.health()
        except CerebrumError as exc:
            error = error or exc
            continue
        return {
            "backend": member.name,
            "available": True,
            "round_trip_ms": round((deps.clock() - started) * 1000, 2),
            "health": answer,
        }
    assert error is not None, "there is at least one backend"
    raise error


@router.get("/v1/doctor")
async def doctor(deps: Deps) -> dict[str, Any]:
    """Every backend, link by link up to the first that is broken: address, health, key, models."""
    return {
        "backends": [
            {
                "name": member.name,
                "url": member.upstream.backend.url,
                "links": [link async for link in walk(member.upstream, deps.clock)],
            }
            for member in deps.relay.pool.members
        ]
    }
