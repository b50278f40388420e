"""Tries the links that the doctor judges."""

from __future__ import annotations

from cerebrum_cli.client import EdgeClient, EdgeFailure
from cerebrum_cli.doctor import Link, backend_links, edge_link, key_link, old_edge_links


def examine(client: EdgeClient) -> list[Link]:
    """Every link, from the edge to the models, as far as one can be reached through those before it."""
    try:
        edge = edge_link(client.url, health=client.get("/health"), problem=None)
    except EdgeFailure as exc:
        edge = edge_link(client.url, health=None, problem=str(exc))
    if not edge.ok:
        return [edge]
    try:
        client.get("/v1/stats")
        key = key_link(has_key=client.has_key, problem=None, unauthorized=False)
    except EdgeFailure as exc:
        key = key_link(has_key=client.has_key, problem=str(exc), unauthorized=exc.status in (401, 403))
    if not key.ok:
        return [edge, key]
    try:
        return [edge, key, *backend_links(client.get("/v1/doctor"))]
    except EdgeFailure as exc:
        if exc.status == 404:
            return [edge, key, *_without_report(client)]
        return [edge, key, *old_edge_links(backend=None, models=None, problem=str(exc))]


def _without_report(client: EdgeClient) -> list[Link]:
    try:
        backend = str(client.get("/v1/vps/health").get("backend", "backend"))
        models = len(client.get("/v1/models").get("models", []))
    except EdgeFailure as exc:
        return old_edge_links(backend=None, models=None, problem=str(exc))
    return old_edge_links(backend=backend, models=models, problem=None)
