"""What the edge says of itself and of its backend."""

from __future__ import annotations

from typing import Any

import psutil
from fastapi import APIRouter

from cerebrum_edge import __version__
from cerebrum_edge.api.resources import Deps

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
            "GET /v1/models",
            "GET /v1/stats",
            "GET /v1/vps/health",
            "GET /health",
            "GET /ready",
            "GET /metrics",
            "GET /openapi.json",
        ],
    }


@router.get("/v1/models")
async def models(deps: Deps) -> dict[str, Any]:
    """The backend's models, natively (`models`) and in OpenAI's form (`object`, `data`), in one object."""
    rows = await deps.upstream.models(fresh=True)
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
    return {
        "uptime": round(deps.lifecycle.uptime, 3),
        "requests_total": deps.totals.requests,
        "requests_active": deps.gate.working,
        "requests_waiting": deps.gate.waiting,
        "vps_available": deps.upstream.available,
        "memory_mb": round(psutil.Process().memory_info().rss / 1e6, 1),
        "backends": [
            {
                "name": deps.upstream.backend.name,
                "url": deps.upstream.backend.url,
                "available": deps.upstream.available,
            }
        ],
    }


@router.api_route("/v1/vps/health", methods=["GET", "POST"])
async def vps_health(deps: Deps) -> dict[str, Any]:
    """The backend's `/health`, asked now; an error where it does not answer."""
    started = deps.clock()
    answer = await deps.upstream.health()
    return {
        "backend": deps.upstream.backend.name,
        "available": True,
        "round_trip_ms": round((deps.clock() - started) * 1000, 2),
        "health": answer,
    }
