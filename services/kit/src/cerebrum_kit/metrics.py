"""Prometheus metrics that every service has. One registry per app, never the library's global one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

# Answers of a 7B model on a small VPS take minutes: the buckets reach ten.
LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_METHODS = frozenset({"GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"})


def new_registry(service: str, version: str, release: str) -> CollectorRegistry:
    """A registry with the process's own metrics and `cerebrum_<service>_build_info`."""
    # Without this every counter has a second series, of its creation time, that nothing here reads.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types here
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    Info(f"cerebrum_{service}_build", "Version and release that run.", registry=registry).info(
        {"version": version, "release": release}
    )
    return registry


class HttpMetrics:
    """Requests by route template, method, status and outcome, and by key. No label holds what a client sent."""

    def __init__(self, service: str, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            f"cerebrum_{service}_http_requests",
            "Requests answered, by route template, method, status and outcome.",
            ["route", "method", "status", "outcome"],
            registry=registry,
        )
        self._by_key = Counter(
            f"cerebrum_{service}_key_requests",
            "Requests answered, by the id of the key that was presented; those for /metrics are not among them.",
            ["key_id"],
            registry=registry,
        )
        self._seconds = Histogram(
            f"cerebrum_{service}_http_request_duration_seconds",
            "From the request's head to the response's last byte.",
            ["route"],
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self._in_flight = Gauge(f"cerebrum_{service}_http_requests_in_flight", "Requests in work.", registry=registry)

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        self._in_flight.inc()
        try:
            yield
        finally:
            self._in_flight.dec()

    def observe(
        self, route: str, method: str, status: int, outcome: str, seconds: float, *, key_id: str | None = None
    ) -> None:
        verb = method if method in _METHODS else "other"
        self._requests.labels(route, verb, str(status), outcome).inc()
        self._seconds.labels(route).observe(seconds)
        # Whoever looks whether a key is in use must not be what is seen.
        if key_id is not None and route != "/metrics":
            self._by_key.labels(key_id).inc()
