"""Grafana's dashboards, as plain Python that writes their JSON: `python -m monitoring.dashboards [--check]`."""

from __future__ import annotations

from monitoring.dashboards import edge, hosts, inference, overview
from monitoring.dashboards.panels import Json


def dashboards() -> dict[str, Json]:
    """Every board by the name of its file."""
    boards = (overview.dashboard(), edge.dashboard(), inference.dashboard(), hosts.dashboard())
    return {f"{board['uid']}.json": board for board in boards}
