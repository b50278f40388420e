"""What the edge tells Prometheus beside the HTTP metrics that every service has."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from cerebrum_edge.guard.breaker import Breaker
from cerebrum_kit.metrics import LATENCY_BUCKETS

_RELEASE = re.compile(r"[A-Za-z0-9._-]{1,100}")
_RELEASES = 8
STATES = ("closed", "open", "half_open")


class BreakerStates(Collector):
    """`cerebrum_edge_breaker_state`: 1 for the state that a backend's breaker is in now, 0 for the others."""

    def __init__(self, breakers: Mapping[str, Breaker], clock: Callable[[], float]) -> None:
        self._breakers = breakers
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "cerebrum_edge_breaker_state", "1 for the state of the backend's breaker.", labels=["backend", "state"]
        )
        now = self._clock()
        for name, breaker in self._breakers.items():
            for state in STATES:
                family.add_metric([name, state], float(breaker.state(now) == state))
        yield family


class EdgeMetrics:
    def __init__(self, registry: CollectorRegistry, backends: Collection[str]) -> None:
        self.working = Gauge("cerebrum_edge_inflight", "Completions in work.", registry=registry)
        self.waiting = Gauge("cerebrum_edge_queue_depth", "Completions that wait for a place.", registry=registry)
        self.shed = Counter("cerebrum_edge_shed", "Completions refused, by reason.", ["reason"], registry=registry)
        self.backend_up = Gauge(
            "cerebrum_edge_backend_up", "1 while the backend answered its last request.", ["backend"], registry=registry
        )
        self.backend_failures = Counter(
            "cerebrum_edge_backend_failures", "Failed requests, by error code.", ["backend", "code"], registry=registry
        )
        self._answers = Counter(
            "cerebrum_edge_backend_answers",
            "Completions that a backend began to answer, well or not, by the release that answered.",
            ["backend", "release"],
            registry=registry,
        )
        self._releases: dict[str, set[str]] = {backend: set() for backend in backends}
        self.breaker_transitions = Counter(
            "cerebrum_edge_breaker_transitions",
            "Changes of a backend's breaker, by the state that it went to.",
            ["backend", "state"],
            registry=registry,
        )
        self.resumes = Counter(
            "cerebrum_edge_stream_resumes", "Answers that were taken up again in mid-stream.", registry=registry
        )
        self.condensed = Counter(
            "cerebrum_edge_condensations",
            "Prompts that were looked at for condensing, by what became of them.",
            ["outcome"],
            registry=registry,
        )
        self.condensed_ratio = Histogram(
            "cerebrum_edge_condensed_ratio",
            "Characters after condensing to characters before, of prompts that were condensed.",
            buckets=[step / 10 for step in range(1, 11)],
            registry=registry,
        )
        self.condense_seconds = Histogram(
            "cerebrum_edge_condense_seconds",
            "Time that condensing a prompt took.",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
            registry=registry,
        )
        self.ignored_fields = Counter(
            "cerebrum_edge_ignored_fields", "Fields of requests that the edge does not know.", registry=registry
        )
        self.tokens = Counter("cerebrum_edge_tokens", "Tokens relayed to clients.", registry=registry)
        self.ttft = Histogram(
            "cerebrum_edge_time_to_first_token_seconds",
            "From the request's arrival to its first token.",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        for outcome in ("condensed", "unchanged"):
            self.condensed.labels(outcome)
        for reason in ("queue_full", "queue_timeout"):
            self.shed.labels(reason)
        for backend in backends:
            self.backend_up.labels(backend)
            for state in STATES:
                self.breaker_transitions.labels(backend, state)
            for code in ("upstream_unavailable", "upstream_error", "upstream_timeout"):
                self.backend_failures.labels(backend, code)

    def backend_answered(self, backend: str, release: str | None) -> None:
        """Counts an answer; during an upgrade two releases have their shares. A backend has few of them in the edge's
        life, and one that names a new one each time fills no memory.
        """
        seen = self._releases[backend]
        name = release if release and _RELEASE.fullmatch(release) else "unknown"
        if name not in seen and len(seen) >= _RELEASES:
            name = "other"
        seen.add(name)
        self._answers.labels(backend, name).inc()
