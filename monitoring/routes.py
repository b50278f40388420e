"""Which alert goes to whom, and which is held back while a greater one is there.

The receivers `page`, `ticket`, `watchdog` and `none` are the deployment's; it appends them to this tree. Alertmanager
0.25 (Debian 12) reads it: matchers are plain, inhibition rules have no names.
"""

from __future__ import annotations

from typing import Any

from monitoring.durations import scaled

RECEIVERS = ("page", "ticket", "watchdog", "none")
_PEOPLE = 'severity=~"page|ticket"'
_WAITS = {"page": "30s", "ticket": "2m", "none": "0s"}


def wait_of(severity: str) -> str:
    """How long a new alert waits for others of its name before it is told."""
    return _WAITS[severity]


def tree(scale: float = 1) -> dict[str, Any]:
    """`route` and `inhibit_rules` of an Alertmanager's configuration."""
    return {"route": _route(scale), "inhibit_rules": _inhibitions()}


def _route(scale: float) -> dict[str, Any]:
    def timing(wait: str, interval: str, repeat: str) -> dict[str, str]:
        return {
            "group_wait": scaled(wait, scale),
            "group_interval": scaled(interval, scale, least=1),
            "repeat_interval": scaled(repeat, scale, least=2),
        }

    return {
        # What has no severity that is known here still reaches somebody.
        "receiver": "ticket",
        "group_by": ["alertname"],
        **timing(_WAITS["ticket"], "30m", "1d"),
        "routes": [
            # It fires always; whoever gets it notices when it stops.
            {"matchers": ['alertname="Watchdog"'], "receiver": "watchdog", **timing(_WAITS["none"], "1m", "5m")},
            {"matchers": ['severity="none"'], "receiver": "none"},
            # What follows from the same fault has other names and is inhibited, so a name is a group: a second fault
            # is told at once, and does not wait for the interval of the first.
            {"matchers": ['severity="page"'], "receiver": "page", **timing(_WAITS["page"], "2m", "4h")},
            {"matchers": ['severity="ticket"'], "receiver": "ticket"},
        ],
    }


def _inhibitions() -> list[dict[str, Any]]:
    def rule(source: list[str], target: list[str], *equal: str) -> dict[str, Any]:
        return {"source_matchers": source, "target_matchers": target, "equal": list(equal)}

    return [
        # A host that is gone takes along all that runs on it, and is gone for the edges that ask it.
        rule(['alertname="HostDown"'], [_PEOPLE, 'alertname!="HostDown"'], "instance"),
        rule(['alertname=~"HostDown|InferenceDown"'], ['alertname=~"BackendDown|BreakerOpen"'], "backend"),
        # A service that is gone says nothing more of itself that would help.
        rule(
            ['alertname=~"EdgeDown|InferenceDown"'],
            [_PEOPLE, 'alertname!~"EdgeDown|InferenceDown"'],
            "job",
            "instance",
        ),
        rule(['alertname="BackendDown"'], ['alertname="BreakerOpen"'], "instance", "backend"),
        # A probe that fails at an edge that cannot answer says what is known.
        rule(['alertname=~"EdgeDown|EdgeNotReady"'], ['alertname="ProbeFailing"'], "instance"),
        # The same budget, spent fast and slowly; the same thing, over and nearly over.
        rule(['burn="fast"'], ['burn="slow"'], "slo"),
        rule(['alertname="DiskFull"'], ['alertname=~"DiskAlmostFull|DiskFilling"'], "instance", "mountpoint"),
        rule(['alertname="DiskAlmostFull"'], ['alertname="DiskFilling"'], "instance", "mountpoint"),
        rule(['alertname="CertificateExpired"'], ['alertname="CertificateExpiring"'], "instance", "path"),
        rule(['alertname="TailnetDown"'], ['alertname="TailnetKeyExpiring"'], "instance"),
    ]
