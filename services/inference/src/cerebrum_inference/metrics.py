"""What the engine tells Prometheus. Labels hold the manifest's model ids and fixed words, nothing that clients sent.

What happens often is counted by the models' threads in plain numbers (`batching.stats`) and turned into metrics when
somebody asks for them; what happens seldom is counted here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cerebrum_inference.batching.stats import LEAST_RATED_TOKENS, ModelStats
from cerebrum_kit.histogram import Histogram, family

_P = "cerebrum_inference_"
REFUSALS = ("queue", "total_queue", "displaced", "memory", "cpu")
UNLOADS = ("asked", "idle", "room", "pressure", "shutdown")
SLOT_STATES = ("idle", "prefill", "decode")
# With it a service of twenty models stays below 2,000 series.
_OWN_HISTOGRAMS = 6


@dataclass(frozen=True, slots=True)
class Now:
    """The engine at this moment; by model where it is a mapping."""

    slots: Mapping[str, int] = field(default_factory=dict)  # by state
    queued: Mapping[str, int] = field(default_factory=dict)
    threads: Mapping[str, int] = field(default_factory=dict)
    cells: Mapping[str, int] = field(default_factory=dict)
    cells_live: Mapping[str, int] = field(default_factory=dict)
    cells_idle: Mapping[str, int] = field(default_factory=dict)
    available: Mapping[str, bool] = field(default_factory=dict)
    stored_bytes: int = 0
    foreign_cores: float = 0.0
    cpu_pressure: float = 0.0


class InferenceMetrics:
    """See the module; `now` is set by the engine."""

    def __init__(self, registry: CollectorRegistry, models: Iterable[str]) -> None:
        self.stats = {model: ModelStats() for model in models}
        self.now: Callable[[], Now] = Now
        self._loaded = Gauge(f"{_P}model_loaded", "1 while the model is in memory.", ["model"], registry=registry)
        self._load_seconds = Gauge(
            f"{_P}model_load_seconds", "How long the last load took.", ["model"], registry=registry
        )
        self._resident = Gauge(
            f"{_P}model_resident_bytes", "Memory that the last load took.", ["model"], registry=registry
        )
        self._load_failures = Counter(f"{_P}model_load_failures", "Loads that failed.", ["model"], registry=registry)
        self._unloads = Counter(f"{_P}model_unloads", "Unloads by reason.", ["model", "reason"], registry=registry)
        self._refused = Counter(f"{_P}refused", "Requests refused, by reason.", ["reason"], registry=registry)
        for model in self.stats:  # children exist at 0, so that the first event already has a rate
            for each in (self._loaded, self._load_seconds, self._resident, self._load_failures):
                each.labels(model)
            for reason in UNLOADS:
                self._unloads.labels(model, reason)
        for reason in REFUSALS:
            self._refused.labels(reason)
        registry.register(_EngineCollector(self))

    def loaded(self, model: str, seconds: float, size: int) -> None:
        self._loaded.labels(model).set(1)
        self._load_seconds.labels(model).set(seconds)
        self._resident.labels(model).set(size)

    def unloaded(self, model: str, reason: str) -> None:
        self._loaded.labels(model).set(0)
        self._resident.labels(model).set(0)
        self._unloads.labels(model, reason).inc()

    def load_failed(self, model: str) -> None:
        self._load_failures.labels(model).inc()

    def refused(self, reason: str) -> None:
        self._refused.labels(reason).inc()


class _EngineCollector(Collector):
    def __init__(self, metrics: InferenceMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        stats, now = self._metrics.stats, self._metrics.now()
        yield from _counters(stats)
        yield from _histograms(stats)
        yield from _gauges(stats, now)

    def describe(self) -> Iterable[Metric]:
        return []  # names are not known before the first look, and need not be


def _counters(stats: Mapping[str, ModelStats]) -> Iterator[Metric]:
    plain: list[tuple[str, str, Callable[[ModelStats], float]]] = [
        ("generated_tokens", "Tokens generated.", lambda one: one.generated),
        ("decode_steps", "Steps computed.", lambda one: one.steps),
        ("decoding_slots", "Slots that a step gave a token, summed over all steps.", lambda one: one.busy_slot_steps),
        ("prefill_seconds", "Time of steps that computed a prompt's part.", lambda one: one.prefill_seconds),
        ("decode_seconds", "Time of steps that computed nothing of a prompt.", lambda one: one.decode_seconds),
        ("step_overhead_seconds", "Time of steps outside of llama.cpp.", lambda one: one.overhead_seconds),
        ("draft_tokens", "Tokens guessed by prompt lookup.", lambda one: one.drafted),
        ("draft_tokens_accepted", "Guessed tokens that came true.", lambda one: one.accepted),
        ("prefix_hits", "Generations whose prompt was known in part.", lambda one: one.prefix_hits),
        ("prefix_misses", "Generations whose prompt was all new.", lambda one: one.prefix_misses),
    ]
    for name, text, read in plain:
        found = CounterMetricFamily(_P + name, text, labels=["model"])
        for model, one in stats.items():
            found.add_metric([model], read(one))
        yield found
    prompt = CounterMetricFamily(
        f"{_P}prompt_tokens",
        "Prompt tokens: computed, taken from the cells, or of those brought back from the store.",
        labels=["model", "source"],
    )
    outcomes = CounterMetricFamily(f"{_P}generations", "Generations by how they ended.", labels=["model", "outcome"])
    cancelled = CounterMetricFamily(
        f"{_P}cancelled", "Generations whose client left, by where they were.", labels=["model", "stage"]
    )
    for model, one in stats.items():
        prompt.add_metric([model, "computed"], one.prompt_computed)
        prompt.add_metric([model, "cached"], one.prompt_cached - one.prompt_restored)
        prompt.add_metric([model, "restored"], one.prompt_restored)
        for outcome, count in one.outcomes.items():
            outcomes.add_metric([model, outcome], count)
        for stage, count in one.cancelled.items():
            cancelled.add_metric([model, stage], count)
    yield from (prompt, outcomes, cancelled)


def _histograms(stats: Mapping[str, ModelStats]) -> Iterator[Metric]:
    families: list[tuple[str, str, Callable[[ModelStats], Histogram]]] = [
        ("decode_step_seconds", "Time of a step in llama.cpp.", lambda one: one.step_seconds),
        ("batch_rows", "Rows of a step.", lambda one: one.rows),
        ("queue_wait_seconds", "From the request to its slot.", lambda one: one.queue_wait),
        ("time_to_first_token_seconds", "From the request to its first token.", lambda one: one.first_token),
        ("inter_token_seconds", "Between two tokens of a stream.", lambda one: one.inter_token),
        ("generation_seconds", "From the request to its last token.", lambda one: one.generation),
        (
            "request_tokens_per_second",
            f"Speed of a generation from its first token on, where it has {LEAST_RATED_TOKENS} or more.",
            lambda one: one.request_rate,
        ),
    ]
    named = names(tuple(stats))
    for name, text, read in families:
        rows: dict[str, list[Histogram]] = {}
        for model, one in stats.items():
            rows.setdefault(named[model], []).append(read(one))
        yield family(_P + name, text, "model", rows)


def names(models: Sequence[str]) -> dict[str, str]:
    """What each model is called in the histograms, which are most of the series: those behind the first are `other`."""
    return {model: model if at < _OWN_HISTOGRAMS else "other" for at, model in enumerate(models)}


def _gauges(stats: Mapping[str, ModelStats], now: Now) -> Iterator[Metric]:
    by_model: list[tuple[str, str, Mapping[str, int]]] = [
        ("queue_depth", "Requests that wait for a slot.", now.queued),
        ("threads", "Threads that compute; 0 while the model is not in memory.", now.threads),
        ("kv_cells", "Tokens that the cache holds at most.", now.cells),
        ("model_available", "1 while the model's file is there and was not refused.", now.available),
    ]
    for name, text, values in by_model:
        found = GaugeMetricFamily(_P + name, text, labels=["model"])
        for model in stats:
            found.add_metric([model], values.get(model, 0))
        yield found
    used = GaugeMetricFamily(
        f"{_P}kv_cells_used",
        "Tokens in the cache: of running generations, and kept for others.",
        labels=["model", "state"],
    )
    rate = GaugeMetricFamily(
        f"{_P}tokens_per_second", "Tokens generated a second, over the last ten.", labels=["model"]
    )
    moment = time.monotonic()
    for model, one in stats.items():
        used.add_metric([model, "live"], now.cells_live.get(model, 0))
        used.add_metric([model, "idle"], now.cells_idle.get(model, 0))
        rate.add_metric([model], one.decode_rate.read(moment))
    slots = GaugeMetricFamily(f"{_P}slots", "Slots of the models in memory, by state.", labels=["state"])
    for state in SLOT_STATES:
        slots.add_metric([state], now.slots.get(state, 0))
    yield from (used, rate, slots)
    yield GaugeMetricFamily(f"{_P}prefix_store_bytes", "Saved prefixes outside of the cache.", value=now.stored_bytes)
    yield GaugeMetricFamily(f"{_P}foreign_cpu_cores", "Cores that other processes use.", value=now.foreign_cores)
    yield GaugeMetricFamily(
        f"{_P}cpu_pressure_ratio", "Share of time in which something waited for a core.", value=now.cpu_pressure
    )
