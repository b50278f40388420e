"""What the edge tells Prometheus beside the HTTP metrics that every service has.

Every child that can be known exists at 0 from the start, so that the first event already has a rate, and is looked up
once. All of it is written by the event loop's thread.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from cerebrum_edge.guard.breaker import Breaker
from cerebrum_edge.outcomes import DIALECTS, OUTCOMES, outcome_of
from cerebrum_kit.histogram import Histograms
from cerebrum_kit.metrics import LATENCY_BUCKETS
from cerebrum_kit.middleware.boundary import Answered

_RELEASE = re.compile(r"[A-Za-z0-9._-]{1,100}")
_RELEASES = 8
STATES = ("closed", "open", "half_open")
_FAILURES = ("upstream_unavailable", "upstream_error", "upstream_timeout")
# What is the edge's own is over in milliseconds, or something is wrong.
_OWN_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_P = "cerebrum_edge_"


class BreakerStates(Collector):
    """`cerebrum_edge_breaker_state`: 1 for the state that a backend's breaker is in now, 0 for the others."""

    def __init__(self, breakers: Mapping[str, Breaker], clock: Callable[[], float]) -> None:
        self._breakers = breakers
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            f"{_P}breaker_state", "1 for the state of the backend's breaker.", labels=["backend", "state"]
        )
        now = self._clock()
        for name, breaker in self._breakers.items():
            for state in STATES:
                family.add_metric([name, state], float(breaker.state(now) == state))
        yield family


class EdgeMetrics:
    """See the module. Where an attribute is a mapping, it is by the label's value, or by the values of two."""

    def __init__(self, registry: CollectorRegistry, backends: Collection[str]) -> None:
        def counter(name: str, text: str, labels: Collection[str] = ()) -> Counter:
            return Counter(_P + name, text, labels, registry=registry)

        histograms = Histograms(registry)

        completions = counter(
            "completions", "Completions that are over, by dialect and by how they ended.", ["dialect", "outcome"]
        )
        self._completions = {
            (dialect, outcome): completions.labels(dialect, outcome)
            for dialect in sorted(set(DIALECTS.values()))
            for outcome in OUTCOMES
        }
        self._disconnects = counter("client_disconnects", "Completions whose client left before their end.")
        self._seconds = histograms.plain(
            f"{_P}completion_seconds", "From a request's head to its last byte, of completions that ended well.",
            LATENCY_BUCKETS,
        )  # fmt: skip
        self.ttft = histograms.plain(
            f"{_P}time_to_first_token_seconds",
            "From the request's arrival to its first token, of answers that the edge got as a stream.",
            LATENCY_BUCKETS,
        )
        self.inter_token = histograms.plain(
            f"{_P}inter_token_seconds",
            "Between two pieces of an answer, as they came; tokens that came together are one piece.",
            LATENCY_BUCKETS,
        )
        self.overhead = histograms.plain(
            f"{_P}overhead_seconds",
            "From a request's arrival to its first event, without the time in the queue and the backends' time.",
            _OWN_BUCKETS,
        )
        self.tokens = counter("tokens", "Tokens relayed to clients.")
        self.resumes = counter("stream_resumes", "Answers that were taken up again in mid-stream.")
        self.ignored_fields = counter("ignored_fields", "Fields of requests that the edge does not know.")

        self.working = Gauge(f"{_P}inflight", "Completions in work.", registry=registry)
        self.waiting = Gauge(f"{_P}queue_depth", "Completions that wait for a place.", registry=registry)
        self.queue_wait = histograms.plain(
            f"{_P}queue_wait_seconds", "From the request to its place; 0 where one was free.", (0, *LATENCY_BUCKETS)
        )
        shed = counter("shed", "Completions refused, by reason.", ["reason"])
        self.shed = {reason: shed.labels(reason) for reason in ("queue_full", "queue_timeout")}

        condensed = counter(
            "condensations", "Prompts that were looked at for condensing, by what became of them.", ["outcome"]
        )
        self.condensed = {outcome: condensed.labels(outcome) for outcome in ("condensed", "unchanged")}
        self.condensed_ratio = histograms.plain(
            f"{_P}condensed_ratio",
            "Characters after condensing to characters before, of prompts that were condensed.",
            [step / 10 for step in range(1, 11)],
        )
        self.condense_seconds = histograms.plain(
            f"{_P}condense_seconds", "Time that condensing a prompt took.", _OWN_BUCKETS[1:]
        )

        up = Gauge(f"{_P}backend_up", "1 while the backend answered its last request.", ["backend"], registry=registry)
        self.backend_up = {backend: up.labels(backend) for backend in backends}
        failures = counter("backend_failures", "Failed requests, by error code.", ["backend", "code"])
        self.backend_failures = {
            (backend, code): failures.labels(backend, code) for backend in backends for code in _FAILURES
        }
        transitions = counter(
            "breaker_transitions",
            "Changes of a backend's breaker, by the state that it went to.",
            ["backend", "state"],
        )
        self.breaker_transitions = {
            (backend, state): transitions.labels(backend, state) for backend in backends for state in STATES
        }
        self._answers = counter(
            "backend_answers",
            "Completions that a backend began to answer, well or not, by the release that answered.",
            ["backend", "release"],
        )
        self._releases: dict[str, dict[str, Counter]] = {backend: {} for backend in backends}

    def answered(self, request: Answered) -> None:
        """Counts a request that is over, where it was for a completion."""
        dialect = DIALECTS.get(request.route)
        if dialect is None:
            return
        outcome = outcome_of(request.outcome, request.status)
        self._completions[dialect, outcome].inc()
        if outcome == "ok":
            self._seconds.observe(request.seconds)
        elif outcome == "disconnected":
            self._disconnects.inc()

    def backend_answered(self, backend: str, release: str | None) -> None:
        """Counts an answer; during an upgrade two releases have their shares. A backend has few of them in the edge's
        life, and one that names a new one each time fills no memory.
        """
        seen = self._releases[backend]
        name = release or "unknown"
        if name not in seen:
            name = name if _RELEASE.fullmatch(name) else "unknown"
            if name not in seen and len(seen) >= _RELEASES:
                name = "other"
            seen.setdefault(name, self._answers.labels(backend, name))
        seen[name].inc()
