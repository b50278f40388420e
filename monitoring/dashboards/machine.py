"""What an inference host's process takes of its machine, and whose keys it sees. A section of the inference board."""

from __future__ import annotations

from monitoring.dashboards.panels import Panel, Query, above, stat, table, timeseries
from monitoring.dashboards.promql import Scope, age, count, rate, total
from monitoring.dashboards.units import Unit

INFERENCE = Scope("", "cerebrum_inference_ready", "Inference")
OF_MODEL = 'model=~"$model"'


def of_model(metric: str, *matchers: str) -> str:
    """A selector of a metric that is told by model."""
    return INFERENCE(metric, OF_MODEL, *matchers)


def machine() -> list[Panel]:
    return [
        timeseries(
            "Cores that others use",
            "Above its limit the service refuses new work: two programs on one core slow both more than by half.",
            Query(INFERENCE("cerebrum_inference_foreign_cpu_cores"), "{{instance}}, others"),
            Query(rate(INFERENCE("process_cpu_seconds_total")), "{{instance}}, inference"),
            unit=Unit.COUNT,
        ),
        timeseries(
            "Something waits for a core",
            "Share of time.",
            Query(INFERENCE("cerebrum_inference_cpu_pressure_ratio"), "{{instance}}"),
            unit=Unit.RATIO,
            most=1,
            levels=above(0.3, 0.7),
        ),
        timeseries(
            "Threads",
            "That compute for each model; 0 while it is not in memory. They make way for other processes.",
            Query(of_model("cerebrum_inference_threads"), "{{instance}} {{model}}"),
            unit=Unit.COUNT,
            steps=True,
        ),
        timeseries(
            "Memory",
            "Of the service's process, models included.",
            Query(INFERENCE("process_resident_memory_bytes"), "{{instance}}"),
            unit=Unit.BYTES,
        ),
        timeseries(
            "Requests by key",
            "By the key's id: which edge, or which of its keys while they are exchanged.",
            Query(total(rate(INFERENCE("cerebrum_inference_key_requests_total")), "key_id"), "{{key_id}}"),
            unit=Unit.PER_SECOND,
            stacked=True,
        ),
        table(
            "Keys by age",
            "How long ago each key of the keys file was made.",
            Query(age(INFERENCE("cerebrum_inference_key_created_timestamp_seconds"))),
            unit=Unit.SECONDS,
            columns={"instance": "Host", "key_id": "Key", "Value": "Age"},
            width=8,
        ),
        stat(
            "Ready",
            "Inference hosts that take requests, of those that are scraped.",
            Query(total(INFERENCE("cerebrum_inference_ready")), "ready"),
            Query(count(INFERENCE("cerebrum_inference_ready")), "scraped"),
            unit=Unit.COUNT,
        ),
        stat(
            "Draining",
            "Hosts that finish what they have and take nothing new.",
            Query(total(INFERENCE("cerebrum_inference_draining"))),
            unit=Unit.COUNT,
        ),
    ]
