"""Cases for the alerts of the monitoring itself."""

from __future__ import annotations

from support.alert_cases.case import Case, fires, in_its_window, quiet

_PI = {"job": "prometheus", "instance": "pi"}
_P = 'job="prometheus",instance="pi"'
_SENDER = {"job": "alertmanager", "instance": "pi"}
_A = 'job="alertmanager",instance="pi"'


def _storage(compactions: str, writes: str) -> dict[str, str]:
    return {
        f"prometheus_tsdb_compactions_failed_total{{{_P}}}": compactions,
        f"prometheus_tsdb_wal_writes_failed_total{{{_P}}}": writes,
    }


def _notifications(errors: str, dropped: str) -> dict[str, str]:
    return {
        f'prometheus_notifications_errors_total{{{_P},alertmanager="http://127.0.0.1:9093/api/v2/alerts"}}': errors,
        f"prometheus_notifications_dropped_total{{{_P}}}": dropped,
    }


def _failures(values: str) -> dict[str, str]:
    group = "/etc/prometheus/rules/slo.yml;cerebrum-slo"
    return {f'prometheus_rule_evaluation_failures_total{{{_P},rule_group="{group}"}}': values}


def _deliveries(values: str) -> dict[str, str]:
    return {f'alertmanager_notifications_failed_total{{{_A},integration="webhook",reason="other"}}': values}


CASES: tuple[Case, ...] = (
    fires("Watchdog", "always", {}, labels={}),
    quiet("ThresholdsMissing", "all are there", {}, "10m"),
    fires(
        "PrometheusReloadFailed", "refused", {f"prometheus_config_last_reload_successful{{{_P}}}": "0x40"}, labels=_PI
    ),
    quiet(
        "PrometheusReloadFailed", "mended", {f"prometheus_config_last_reload_successful{{{_P}}}": "0x18 1 0x9"}, "7m"
    ),
    fires(
        "PrometheusRulesFailing",
        "three times",
        _failures("0x4 3x60"),
        since="75s",
        labels={**_PI, "rule_group": "/etc/prometheus/rules/slo.yml;cerebrum-slo"},
    ),
    quiet("PrometheusRulesFailing", "twice", _failures("0x4 2x90"), "3m"),
    *in_its_window(
        "PrometheusRulesFailing",
        _failures,
        "10m",
        events=3,
        labels={**_PI, "rule_group": "/etc/prometheus/rules/slo.yml;cerebrum-slo"},
    ),
    fires("PrometheusStorageFailing", "a compaction", _storage("0x4 1x40", "0x44"), since="75s", labels=_PI),
    fires("PrometheusStorageFailing", "a write", _storage("0x44", "0x4 1x40"), since="75s", labels=_PI),
    *in_its_window("PrometheusStorageFailing", lambda counted: _storage(counted, "0x80"), "3h", labels=_PI, step=300),
    quiet("PrometheusStorageFailing", "none in this life", _storage("2x40", "5x40"), "9m"),
    fires("NotificationsFailing", "errors", _notifications("0x4 5x60", "0x64"), since="75s", labels=_PI),
    fires("NotificationsFailing", "dropped", _notifications("0x64", "0x4 5x60"), since="75s", labels=_PI),
    *in_its_window(
        "NotificationsFailing", lambda counted: _notifications("0x90", counted), "10m", events=5, labels=_PI
    ),
    quiet("NotificationsFailing", "four when it restarted", _notifications("0x4 4x90", "0x94"), "3m"),
    fires(
        "AlertmanagerUnknown",
        "none",
        {f"prometheus_notifications_alertmanagers_discovered{{{_P}}}": "0x40"},
        labels=_PI,
    ),
    quiet("AlertmanagerUnknown", "one", {f"prometheus_notifications_alertmanagers_discovered{{{_P}}}": "1x40"}, "9m"),
    fires(
        "AlertmanagerReloadFailed",
        "refused",
        {f"alertmanager_config_last_reload_successful{{{_A}}}": "0x40"},
        labels=_SENDER,
    ),
    quiet(
        "AlertmanagerReloadFailed",
        "mended",
        {f"alertmanager_config_last_reload_successful{{{_A}}}": "0x18 1 0x9"},
        "7m",
    ),
    fires(
        "ReceiverFailing",
        "webhook",
        _deliveries("0x4 1x60"),
        since="75s",
        labels={**_SENDER, "integration": "webhook"},
    ),
    *in_its_window("ReceiverFailing", _deliveries, "30m", labels={**_SENDER, "integration": "webhook"}, step=60),
)
