"""How those who watch are themselves: Prometheus and Alertmanager. A section of the hosts' board."""

from __future__ import annotations

from monitoring.dashboards.panels import Panel, Query, stat, timeseries
from monitoring.dashboards.promql import Scope, increase, total
from monitoring.dashboards.units import Unit

PROMETHEUS = Scope("prometheus_", "prometheus_build_info", "Prometheus")
ALERTMANAGER = Scope("alertmanager_", "alertmanager_build_info", "Alertmanager")


def watchers() -> list[Panel]:
    failed = total(increase(ALERTMANAGER("alertmanager_notifications_failed_total")), "integration")
    return [
        timeseries(
            "Series",
            "That Prometheus holds in memory.",
            Query(PROMETHEUS("prometheus_tsdb_head_series"), "{{instance}}"),
            unit=Unit.COUNT,
        ),
        timeseries(
            "Memory",
            "Of Prometheus and of Alertmanager.",
            Query(PROMETHEUS("process_resident_memory_bytes"), "{{instance}} Prometheus"),
            Query(ALERTMANAGER("process_resident_memory_bytes"), "{{instance}} Alertmanager"),
            unit=Unit.BYTES,
        ),
        timeseries(
            "A scrape takes",
            "Of every target.",
            Query("scrape_duration_seconds", "{{job}} {{instance}}"),
            unit=Unit.SECONDS,
        ),
        timeseries(
            "Rules that failed",
            "Evaluations; more than none means that alerts are missing.",
            Query(total(increase(PROMETHEUS("prometheus_rule_evaluation_failures_total")), "instance"), "{{instance}}"),
            unit=Unit.COUNT,
        ),
        timeseries(
            "Notifications that failed",
            "By kind of receiver.",
            Query(failed, "{{integration}}"),
            unit=Unit.COUNT,
            stacked=True,
        ),
        stat(
            "Disk of Prometheus",
            "What its blocks take; the write-ahead log comes on top.",
            Query(total(PROMETHEUS("prometheus_tsdb_storage_blocks_bytes"))),
            unit=Unit.BYTES,
        ),
        stat(
            "Alerts at Alertmanager",
            "That it holds and has not suppressed.",
            Query(total(ALERTMANAGER("alertmanager_alerts", 'state="active"'))),
            unit=Unit.COUNT,
        ),
    ]
