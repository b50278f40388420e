"""Files of rules, as Prometheus reads them, from the tables."""

from __future__ import annotations

from typing import Any

from monitoring import hosts, inside, services, slo, thresholds
from monitoring.durations import EVALUATION_SECONDS, scaled, scaled_windows
from monitoring.model import Alert, Group, Recording

RUNBOOK = "docs/runbook.md"
FILES: dict[str, tuple[str, tuple[Group, ...]]] = {
    "thresholds.yml": ("The numbers that the other rules compare with.", (thresholds.group(),)),
    "slo.yml": ("What is promised, and alerts of the budgets' burning.", slo.groups()),
    "services.yml": ("Alerts of edge, inference and probe.", services.groups()),
    "hosts.yml": ("Alerts of the hosts.", hosts.groups()),
    "inside.yml": ("Alerts of the monitoring itself.", inside.groups()),
}
ALERTS: dict[str, Alert] = {
    rule.name: rule
    for _, groups in FILES.values()
    for group in groups
    for rule in group.rules
    if isinstance(rule, Alert)
}


def file_of(alert: str) -> str:
    """The file that holds an alert."""
    return next(
        name
        for name, (_, groups) in FILES.items()
        if any(isinstance(rule, Alert) and rule.name == alert for group in groups for rule in group.rules)
    )


def content(groups: tuple[Group, ...], scale: float = 1) -> dict[str, Any]:
    """What a file holds; with a scale, its times are shorter (what operators set in seconds is theirs)."""
    return {"groups": [_group(one, scale) for one in groups]}


def _group(group: Group, scale: float) -> dict[str, Any]:
    interval = {"interval": scaled(group.interval, scale, least=EVALUATION_SECONDS)} if group.interval else {}
    return {"name": group.name, **interval, "rules": [_rule(rule, scale) for rule in group.rules]}


def _rule(rule: Recording | Alert, scale: float) -> dict[str, Any]:
    expr = scaled_windows(rule.expr, scale)
    if isinstance(rule, Recording):
        return {"record": rule.record, "expr": expr, **({"labels": dict(rule.labels)} if rule.labels else {})}
    lasting = scaled(rule.lasting, scale)
    return {
        "alert": rule.name,
        "expr": expr,
        **({"for": lasting} if lasting != "0s" else {}),
        **({"keep_firing_for": scaled(rule.keep, scale)} if rule.keep else {}),
        "labels": {"severity": rule.severity, **rule.labels},
        "annotations": {
            "summary": rule.summary,
            "description": rule.description,
            "runbook_url": f"{RUNBOOK}#{rule.anchor}",
        },
    }
