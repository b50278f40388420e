"""Alerts of the monitoring itself. What it cannot deliver, it cannot tell: for that, somebody else watches Watchdog."""

from __future__ import annotations

from monitoring.model import Alert, Group
from monitoring.thresholds import PREFIX, THRESHOLDS


def groups() -> tuple[Group, ...]:
    return (Group("cerebrum-monitoring", INSIDE),)


INSIDE = (
    Alert(
        "Watchdog",
        "none",
        "vector(1)",
        "Alerts are computed and delivered",
        "This fires always. Whoever receives it regularly should raise an alarm when it stops.",
    ),
    Alert(
        "ThresholdsMissing",
        "ticket",
        f'(count({{__name__=~"{PREFIX}.+"}}) or vector(0)) < {len(THRESHOLDS)}',
        "Alerts have nothing to compare with",
        "Of the {{ THRESHOLDS }} numbers that rules compare with, there are {{ $value }}: alerts that use the others "
        "cannot fire. First: run site.yml, which writes thresholds.yml.".replace(
            "{{ THRESHOLDS }}", str(len(THRESHOLDS))
        ),
        lasting="5m",
    ),
    Alert(
        "PrometheusReloadFailed",
        "ticket",
        "prometheus_config_last_reload_successful == 0",
        "Prometheus on {{ $labels.instance }} runs with an old configuration",
        "It refused the one that is on disk. First: `journalctl -u prometheus -n 20` there tells why.",
        lasting="5m",
    ),
    Alert(
        "PrometheusRulesFailing",
        "ticket",
        "sum by (job, instance, rule_group) (increase(prometheus_rule_evaluation_failures_total[10m])) > 2.5",
        "Rules of Prometheus on {{ $labels.instance }} fail",
        "Alerts of {{ $labels.rule_group }} may not fire. "
        "First: the page /rules of Prometheus, or `journalctl -u prometheus`, tells which and why.",
    ),
    Alert(
        "PrometheusStorageFailing",
        "ticket",
        "sum by (job, instance) (increase(prometheus_tsdb_compactions_failed_total[3h]))\n"
        "+ sum by (job, instance) (increase(prometheus_tsdb_wal_writes_failed_total[3h])) > 0.5",
        "Prometheus on {{ $labels.instance }} cannot store what it measures",
        "Writing to its database fails. First: is the disk full or read-only? `journalctl -u prometheus` there.",
    ),
    Alert(
        "NotificationsFailing",
        "page",
        "sum by (job, instance) (increase(prometheus_notifications_errors_total[10m]))\n"
        "+ sum by (job, instance) (increase(prometheus_notifications_dropped_total[10m])) > 4.5",
        "Prometheus on {{ $labels.instance }} cannot hand its alerts over",
        "Alertmanager does not take them; nobody would be told of anything. "
        "First: `systemctl status prometheus-alertmanager` there.",
    ),
    Alert(
        "AlertmanagerUnknown",
        "page",
        "prometheus_notifications_alertmanagers_discovered < 1",
        "Prometheus on {{ $labels.instance }} knows no Alertmanager",
        "Its alerts go nowhere. First: run playbooks/monitoring.yml, which tells it.",
        lasting="5m",
    ),
    Alert(
        "AlertmanagerReloadFailed",
        "ticket",
        "alertmanager_config_last_reload_successful == 0",
        "Alertmanager on {{ $labels.instance }} runs with an old configuration",
        "It refused the one that is on disk. First: `journalctl -u prometheus-alertmanager -n 20` there tells why.",
        lasting="5m",
    ),
    Alert(
        "ReceiverFailing",
        "page",
        "sum by (job, instance, integration) (increase(alertmanager_notifications_failed_total[30m])) > 0.5",
        "Alertmanager on {{ $labels.instance }} cannot deliver by {{ $labels.integration }}",
        "Whoever is told by it hears nothing; other receivers still do. "
        "First: `journalctl -u prometheus-alertmanager` there names the receiver and its answer.",
    ),
)
