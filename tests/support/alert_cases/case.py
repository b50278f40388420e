"""A case for an alert: series as promtool writes them, and what must come of them.

A case that fires is tried twice: when the condition has lasted for as long as the alert wants, and an evaluation
before that, when it must not fire yet.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from monitoring import rules
from monitoring.durations import seconds
from monitoring.model import Alert

_LABEL = re.compile(r"{{ \$labels\.(\w+) }}")
_VALUE = re.compile(r"{{ \$value[^}]*}}")


@dataclass(frozen=True, slots=True)
class Case:
    """Series, and the moment at which they are looked at.

    Attributes:
        what: what the series are, in a few words.
        kind: `fires`; `quiet`, which is close to it and must not; `idle`, with less traffic than tells anything.
        since: when the condition begins to hold (for those that fire), or when it is looked at (for the others).
        labels: of the alert, beside what the rule itself adds.
        value: how its value reads in the description.
        step: seconds between samples and between evaluations.
        sudden: whether the condition begins to hold at `since`, and not some time before.
    """

    alert: str
    kind: Literal["fires", "quiet", "idle"]
    what: str
    series: Mapping[str, str]
    since: str
    labels: Mapping[str, str] = field(default_factory=dict)
    value: str = ""
    step: int = 15
    sudden: bool = True

    @property
    def id(self) -> str:
        return f"{self.alert}-{self.what.replace(' ', '_')}"

    def looks(self) -> list[dict[str, Any]]:
        """Moments and what fires then, as promtool has them."""
        alert = rules.ALERTS[self.alert]
        since = seconds(self.since)
        if self.kind != "fires":
            return [{"eval_time": f"{since}s", "alertname": self.alert, "exp_alerts": []}]
        due = since + seconds(alert.lasting)
        looks = [
            {"eval_time": f"{due + self.step}s", "alertname": self.alert, "exp_alerts": [self._expected(alert)]},
        ]
        if self.sudden and due - self.step >= 0:
            looks.append({"eval_time": f"{due - self.step}s", "alertname": self.alert, "exp_alerts": []})
        return looks

    def _expected(self, alert: Alert) -> dict[str, Any]:
        return {
            "exp_labels": {
                "severity": alert.severity,
                **{name: self._said(text) for name, text in alert.labels.items()},
                **self.labels,
            },
            "exp_annotations": {
                "summary": self._said(alert.summary),
                "description": self._said(alert.description),
                "runbook_url": f"docs/runbook.md#{self.alert.lower()}",
            },
        }

    def _said(self, text: str) -> str:
        return _VALUE.sub(self.value, _LABEL.sub(lambda found: self.labels[found[1]], text))


def fires(alert: str, what: str, series: Mapping[str, str], *, since: str = "0s", labels: Mapping[str, str],
          value: str = "", step: int = 15, sudden: bool = True) -> Case:  # fmt: skip
    return Case(alert, "fires", what, series, since, labels, value, step, sudden)


def quiet(alert: str, what: str, series: Mapping[str, str], at: str, *, step: int = 15) -> Case:
    return Case(alert, "quiet", what, series, at, step=step)


def idle(alert: str, what: str, series: Mapping[str, str], at: str, *, step: int = 15) -> Case:
    return Case(alert, "idle", what, series, at, step=step)


def in_its_window(
    alert: str,
    series: Callable[[str], Mapping[str, str]],
    window: str,
    *,
    events: int = 1,
    samples: str | None = None,
    labels: Mapping[str, str],
    value: str = "",
    step: int = 15,
) -> tuple[Case, Case]:
    """Two cases for what counts events in a window: they are in its older half, and they are past it.

    Args:
        series: of the counter's samples.
        samples: where it is no counter of events: five samples of rest and those of the events.
    """  # fmt: skip
    before, long = 4 * step, seconds(window)
    steps = 2 * long // step
    values = f"{samples or f'0x4 {events}'}x{steps}"
    lasting = seconds(rules.ALERTS[alert].lasting)
    old, past = before + long * 3 // 4, before + long * 13 // 10 + lasting
    return (
        fires(alert, "in the older half of the window", series(values), since=f"{old - lasting}s", labels=labels,
              value=value, step=step, sudden=False),
        quiet(alert, "past the window", series(values), f"{past}s", step=step),
    )  # fmt: skip
