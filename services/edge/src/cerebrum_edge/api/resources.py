"""What the routes work with; made by the lifespan, found in `request.state`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from cerebrum_edge.guard.gate import Gate
from cerebrum_edge.metrics import EdgeMetrics
from cerebrum_edge.ratios import Ratios
from cerebrum_edge.relay.relay import Relay
from cerebrum_edge.settings import EdgeSettings
from cerebrum_kit.lifecycle import Lifecycle


@dataclass(slots=True)
class Totals:
    """Counts since the start, for `/v1/stats`."""

    requests: int = 0
    condensed: int = 0
    characters_before: int = 0
    characters_after: int = 0


@dataclass(frozen=True, slots=True)
class Resources:
    settings: EdgeSettings
    relay: Relay
    gate: Gate
    metrics: EdgeMetrics
    lifecycle: Lifecycle
    clock: Callable[[], float]
    totals: Totals = field(default_factory=Totals)
    ratios: Ratios = field(default_factory=Ratios)


async def _resources(request: Request) -> Resources:  # a plain function would run in a thread of its own
    resources: Resources = request.state.resources
    return resources


Deps = Annotated[Resources, Depends(_resources)]
