"""What a picture shows. What nobody told is None or empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Service:
    """A process: whether it takes work, and which release it is."""

    instance: str
    ready: bool
    draining: bool
    release: str


@dataclass(frozen=True, slots=True)
class Backend:
    """A backend as one edge sees it.

    Attributes:
        outstanding, retry_in, problem: only the edge's `/v1/stats` tells.
    """

    edge: str
    name: str
    up: bool
    breaker: str
    failures: float | None
    outstanding: int | None = None
    retry_in: float | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Model:
    instance: str
    name: str
    loaded: bool
    available: bool
    tokens_per_second: float
    cells: float
    live: float
    idle: float
    waiting: float


@dataclass(frozen=True, slots=True)
class Probe:
    instance: str
    success: bool
    age: float | None
    seconds: float | None
    first_token: float | None


@dataclass(frozen=True, slots=True)
class Alert:
    name: str
    severity: str
    about: str
    pending: bool


@dataclass(frozen=True, slots=True)
class Speed:
    """The median and the 95th percentile of a histogram."""

    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True)
class Facts:
    """One picture.

    Attributes:
        seconds: what rates are over; 0 where there was one look alone.
        since_start: rates are over the processes' lives.
        condensed: what is left of condensed prompts, in the middle.
        alerts: None where the source does not know of any.
    """

    moment: float
    seconds: float
    since_start: bool
    edges: Sequence[Service]
    hosts: Sequence[Service]
    completions: Mapping[str, float]
    shed: Mapping[str, float]
    first_token: Speed
    inter_token: Speed
    overhead: Speed
    inflight: float | None
    queue: float | None
    tokens: float | None
    resumes: float | None
    condensations: Mapping[str, float]
    condensed: float | None
    backends: Sequence[Backend]
    slots: Mapping[str, float]
    models: Sequence[Model]
    generated: float | None
    refused: Mapping[str, float]
    probes: Sequence[Probe]
    alerts: Sequence[Alert] | None
