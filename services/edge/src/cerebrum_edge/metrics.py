"""What the edge tells Prometheus beside the HTTP metrics that every service has."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from cerebrum_kit.metrics import LATENCY_BUCKETS


class EdgeMetrics:
    def __init__(self, registry: CollectorRegistry, backends: Iterable[str]) -> None:
        self.working = Gauge("cerebrum_edge_inflight", "Completions in work.", registry=registry)
        self.waiting = Gauge("cerebrum_edge_queue_depth", "Completions that wait for a place.", registry=registry)
        self.shed = Counter("cerebrum_edge_shed", "Completions refused, by reason.", ["reason"], registry=registry)
        self.backend_up = Gauge(
            "cerebrum_edge_backend_up", "1 while the backend answered its last request.", ["backend"], registry=registry
        )
        self.backend_failures = Counter(
            "cerebrum_edge_backend_failures", "Failed requests, by error code.", ["backend", "code"], registry=registry
        )
        self.tokens = Counter("cerebrum_edge_tokens", "Tokens relayed to clients.", registry=registry)
        self.ttft = Histogram(
            "cerebrum_edge_time_to_first_token_seconds",
            "From the request's arrival to its first token.",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        for reason in ("queue_full", "queue_timeout"):
            self.shed.labels(reason)
        for backend in backends:
            self.backend_up.labels(backend)
            for code in ("upstream_unavailable", "upstream_error", "upstream_timeout"):
                self.backend_failures.labels(backend, code)
