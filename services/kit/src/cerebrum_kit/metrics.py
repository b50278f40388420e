"""Prometheus metrics that every service has. One registry per app, never the library's global one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Info,
    Metric,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from cerebrum_kit.histogram import Histogram, Histograms
from cerebrum_kit.keys import KeyRing, created_at
from cerebrum_kit.lifecycle import Lifecycle

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
    """Requests by route template, method, status and outcome, and by key. No label holds what a client sent.

    To be told of requests by one thread, the event loop's. Children are looked up once: `labels()` takes longer than
    all the rest.
    """

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
        self._seconds = Histograms(registry).labelled(
            f"cerebrum_{service}_http_request_duration_seconds",
            "From the request's head to the response's last byte.",
            "route",
        )
        self._in_flight = Gauge(f"cerebrum_{service}_http_requests_in_flight", "Requests in work.", registry=registry)
        self._known: dict[tuple[str, str, int, str], Counter] = {}
        self._known_keys: dict[str, Counter] = {}

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
        row = (route, verb, status, outcome)
        counter = self._known.get(row)
        if counter is None:
            counter = self._known[row] = self._requests.labels(route, verb, str(status), outcome)
        counter.inc()
        histogram = self._seconds.get(route)
        if histogram is None:
            histogram = self._seconds[route] = Histogram(LATENCY_BUCKETS)
        histogram.observe(seconds)
        # Whoever looks whether a key is in use must not be what is seen.
        if key_id is not None and route != "/metrics":
            uses = self._known_keys.get(key_id)
            if uses is None:
                uses = self._known_keys[key_id] = self._by_key.labels(key_id)
            uses.inc()


class Standing(Collector):
    """How the service stands at this moment: whether it is ready, whether it drains, and since when its keys exist.

    Args:
        keys: those of the key file; None where everyone is admitted.
    """

    def __init__(self, service: str, lifecycle: Lifecycle, keys: KeyRing | None) -> None:
        self._prefix = f"cerebrum_{service}_"
        self._lifecycle = lifecycle
        self._keys = keys

    def collect(self) -> Iterator[Metric]:
        ready, draining = float(self._lifecycle.ready), float(self._lifecycle.draining)
        yield GaugeMetricFamily(f"{self._prefix}ready", "1 while /ready answers 200.", value=ready)
        yield GaugeMetricFamily(
            f"{self._prefix}draining", "1 while running work is finished and no new work is taken.", value=draining
        )
        ages = GaugeMetricFamily(
            f"{self._prefix}key_created_timestamp_seconds",
            "When a key that is valid now was made, as the key file says.",
            labels=["key_id"],
        )
        # Whoever scrapes has presented a key, and the file was looked at again for that.
        for key in () if self._keys is None else self._keys.keys:
            if (created := created_at(key)) is not None:
                ages.add_metric([key.id], created)
        yield ages
