"""What `cerebrum top` shows, read off a history of metrics. Pure. What nobody told is None or empty."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cerebrum_cli.top.picture import Alert, Backend, Facts, Model, Probe, Service, Speed
from cerebrum_cli.top.series import History, Origin, Snapshot

_E, _I, _P = "cerebrum_edge_", "cerebrum_inference_", "cerebrum_probe_"
_COUNTERS = (
    f"{_E}completions_total",
    f"{_E}shed_total",
    f"{_E}backend_failures_total",
    f"{_E}condensations_total",
    f"{_E}stream_resumes_total",
    f"{_E}tokens_total",
    f"{_I}generated_tokens_total",
    f"{_I}refused_total",
)
_HISTOGRAMS = (
    f"{_E}time_to_first_token_seconds",
    f"{_E}inter_token_seconds",
    f"{_E}overhead_seconds",
    f"{_E}condensed_ratio",
)
_GAUGES = (
    f"{_E}ready",
    f"{_E}draining",
    f"{_E}build_info",
    f"{_E}inflight",
    f"{_E}queue_depth",
    f"{_E}backend_up",
    f"{_E}breaker_state",
    f"{_I}ready",
    f"{_I}draining",
    f"{_I}build_info",
    f"{_I}slots",
    f"{_I}queue_depth",
    f"{_I}tokens_per_second",
    f"{_I}kv_cells",
    f"{_I}kv_cells_used",
    f"{_I}model_loaded",
    f"{_I}model_available",
    f"{_P}success",
    f"{_P}last_run_timestamp_seconds",
    f"{_P}duration_seconds",
    f"{_P}time_to_first_token_seconds",
)
START = "process_start_time_seconds"
WANTED = frozenset({*_COUNTERS, *_GAUGES, *(f"{name}_bucket" for name in _HISTOGRAMS)})
"""The names of all series that are looked at."""


def facts(
    history: History,
    *,
    moment: float,
    stats: Mapping[str, Any] | None = None,
    alerts: Sequence[Alert] | None = None,
) -> Facts:
    """The picture of a history's last look.

    Args:
        stats: the edge's `/v1/stats`, where it was asked.
    """
    now = history.now
    (condensed,) = history.quantiles(f"{_E}condensed_ratio", 0.5)
    return Facts(
        moment=moment,
        seconds=history.seconds,
        since_start=history.since_start,
        edges=_services(now, _E),
        hosts=_services(now, _I),
        completions=history.rate_by(f"{_E}completions_total", "outcome"),
        shed=history.rate_by(f"{_E}shed_total", "reason"),
        first_token=_speed(history, f"{_E}time_to_first_token_seconds"),
        inter_token=_speed(history, f"{_E}inter_token_seconds"),
        overhead=_speed(history, f"{_E}overhead_seconds"),
        inflight=now.total(f"{_E}inflight"),
        queue=now.total(f"{_E}queue_depth"),
        tokens=history.rate(f"{_E}tokens_total"),
        resumes=history.rate(f"{_E}stream_resumes_total"),
        condensations=history.rate_by(f"{_E}condensations_total", "outcome"),
        condensed=condensed,
        backends=_backends(history, stats or {}),
        slots=now.by(f"{_I}slots", "state"),
        models=_models(now),
        generated=history.rate(f"{_I}generated_tokens_total"),
        refused=history.rate_by(f"{_I}refused_total", "reason"),
        probes=_probes(now, moment),
        alerts=alerts,
    )


def firing(rows: Iterable[Mapping[str, str]]) -> list[Alert]:
    """Alerts by the labels of `ALERTS`, the worst first. Watchdog always fires; it is left out."""
    found = [
        Alert(
            row.get("alertname", "?"),
            row.get("severity", ""),
            ", ".join(f"{name}={value}" for name, value in sorted(row.items()) if name not in _OF_EVERY_ALERT),
            row.get("alertstate") == "pending",
        )
        for row in rows
        if row.get("alertname") != "Watchdog"
    ]
    worst = {"page": 0, "critical": 0, "ticket": 1, "warning": 1}
    return sorted(found, key=lambda one: (one.pending, worst.get(one.severity, 2), one.name, one.about))


_OF_EVERY_ALERT = frozenset({"__name__", "alertname", "alertstate", "severity"})


def _speed(history: History, name: str) -> Speed:
    p50, p95 = history.quantiles(name, 0.5, 0.95)
    return Speed(p50, p95)


def _services(now: Snapshot, prefix: str) -> list[Service]:
    releases = {one.origin: one.labels.get("release", "") for one in now.samples(f"{prefix}build_info")}
    draining = {one.origin for one in now.samples(f"{prefix}draining") if one.value}
    found = [
        Service(one.origin.instance, one.value == 1, one.origin in draining, releases.get(one.origin, ""))
        for one in now.samples(f"{prefix}ready")
    ]
    return sorted(found, key=lambda one: one.instance)


def _backends(history: History, stats: Mapping[str, Any]) -> list[Backend]:
    now = history.now
    states = {
        (one.origin, one.labels.get("backend", "")): one.labels.get("state", "")
        for one in now.samples(f"{_E}breaker_state")
        if one.value
    }
    failures: dict[tuple[Origin, str], float] = {}
    for one in history.rates(f"{_E}backend_failures_total"):
        key = (one.origin, one.labels.get("backend", ""))
        failures[key] = failures.get(key, 0.0) + one.value
    told = {str(row.get("name")): row for row in stats.get("backends") or () if isinstance(row, dict)}
    found = []
    for one in now.samples(f"{_E}backend_up"):
        name = one.labels.get("backend", "")
        key, row = (one.origin, name), told.get(name, {})
        breaker = row.get("breaker")
        found.append(
            Backend(
                one.origin.instance,
                name,
                one.value == 1,
                states.get(key, "unknown"),
                failures.get(key),
                row.get("outstanding"),
                breaker.get("retry_in") if isinstance(breaker, dict) else None,
                row.get("problem"),
            )
        )
    return sorted(found, key=lambda one: (one.edge, one.name))


def _models(now: Snapshot) -> list[Model]:
    def of(name: str, origin: Origin, model: str, **where: str) -> float:
        found = [one for one in now.samples(f"{_I}{name}", model=model, **where) if one.origin == origin]
        return sum(one.value for one in found)

    found = []
    for one in now.samples(f"{_I}model_loaded"):
        at = (one.origin, one.labels.get("model", ""))
        found.append(
            Model(
                one.origin.instance,
                at[1],
                one.value == 1,
                of("model_available", *at) == 1,
                of("tokens_per_second", *at),
                of("kv_cells", *at),
                of("kv_cells_used", *at, state="live"),
                of("kv_cells_used", *at, state="idle"),
                of("queue_depth", *at),
            )
        )
    return sorted(found, key=lambda one: (one.instance, not one.loaded, one.name))


def _probes(now: Snapshot, moment: float) -> list[Probe]:
    def of(name: str, origin: Origin) -> float | None:
        found = [one.value for one in now.samples(f"{_P}{name}") if one.origin == origin]
        return found[0] if found else None

    found = []
    for one in now.samples(f"{_P}success"):
        ran = of("last_run_timestamp_seconds", one.origin)
        found.append(
            Probe(
                one.origin.instance,
                one.value == 1,
                None if ran is None else max(0.0, moment - ran),
                of("duration_seconds", one.origin),
                of("time_to_first_token_seconds", one.origin),
            )
        )
    return sorted(found, key=lambda one: one.instance)
