"""What the engine tells Prometheus. Labels hold the manifest's model ids and fixed words, nothing that clients sent."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from cerebrum_kit.metrics import LATENCY_BUCKETS


class InferenceMetrics:
    def __init__(self, registry: CollectorRegistry, models: Iterable[str]) -> None:
        def counter(name: str, text: str) -> Counter:
            return Counter(f"cerebrum_inference_{name}", text, ["model"], registry=registry)

        def gauge(name: str, text: str, label: str = "model") -> Gauge:
            return Gauge(f"cerebrum_inference_{name}", text, [label], registry=registry)

        self.prompt_tokens = Counter(
            "cerebrum_inference_prompt_tokens",
            "Prompt tokens, computed or taken from a slot's cache.",
            ["model", "source"],
            registry=registry,
        )
        self.generated_tokens = counter("generated_tokens", "Tokens generated.")
        self.load_failures = counter("model_load_failures", "Loads that failed.")
        self.model_loaded = gauge("model_loaded", "1 while the model is in memory.")
        self.load_seconds = gauge("model_load_seconds", "How long the last load took.")
        self.tokens_per_second = gauge("tokens_per_second", "Decode rate of the last finished generation.")
        self.slots = gauge("slots", "Slots by state.", "state")
        self.queue = Gauge("cerebrum_inference_queue_depth", "Requests that wait for a slot.", registry=registry)
        self.refused = Counter(
            "cerebrum_inference_refused", "Requests refused because the queue was full.", registry=registry
        )
        self.ttft = Histogram(
            "cerebrum_inference_time_to_first_token_seconds",
            "From admission to the first token, waiting for a slot included.",
            ["model"],
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        for model in models:  # children exist at 0, so that the first event already has a rate
            for family in (self.generated_tokens, self.load_failures, self.model_loaded, self.ttft):
                family.labels(model)
            for source in ("computed", "cached"):
                self.prompt_tokens.labels(model, source)
        for state in ("idle", "prefill", "decode"):
            self.slots.labels(state)
