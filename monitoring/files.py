"""Every file that is written from the tables, as text by its path."""

from __future__ import annotations

from collections.abc import Mapping

from monitoring import faults, output, routes, rules, thresholds
from monitoring.durations import SCRAPE_SECONDS, spoken

RULES = "roles/prometheus/files/rules"
THRESHOLDS = "thresholds.yml"
TREE = "roles/alertmanager/files/tree.yml"
FAULTS = "docs/monitoring-faults.md"
_TREE_SAYS = "Which alert goes to whom: route and inhibit_rules. The role appends the receivers."


def committed() -> dict[str, str]:
    """What the repository holds, by path from its root."""
    return {
        **{f"{RULES}/{name}": text for name, text in _rules(1, {}).items()},
        TREE: output.document(routes.tree(), _TREE_SAYS),
        FAULTS: _faults_page(),
    }


def others(scale: float, numbers: Mapping[str, float]) -> dict[str, str]:
    """Rules (`rules/`) and tree (`tree.yml`) with other thresholds, and shorter times for a lab that cannot wait."""
    return {
        **{f"rules/{name}": text for name, text in _rules(scale, numbers).items()},
        "tree.yml": output.document(routes.tree(scale), _TREE_SAYS),
    }


def _rules(scale: float, numbers: Mapping[str, float]) -> dict[str, str]:
    given = {**rules.FILES, THRESHOLDS: (rules.FILES[THRESHOLDS][0], (thresholds.group(numbers),))}
    return {name: output.document(rules.content(groups, scale), says) for name, (says, groups) in given.items()}


_HEAD = """\
# Faults and their alerts

<!-- Written by `make monitoring` from monitoring/faults.py; changes belong there. -->

What goes wrong, which series shows it, which alert is told, and in what time at most: until a scrape and an evaluation
have seen it ({scrape} s each), for as long as it must last, and until Alertmanager sends it. What is held back may fire
as well, and is not told while the other is there. The same table is the data of scenario `monitoring`, which causes the
faults on hosts of the lab, with shorter times.

| fault | caused by | shows in | alert | told within | held back | ends when |
|---|---|---|---|---|---|---|
"""


def _faults_page() -> str:
    head = _HEAD.format(scrape=SCRAPE_SECONDS)
    return head + "".join(_row(fault) for fault in faults.FAULTS)


def _row(fault: faults.Fault) -> str:
    told = [f"{_link(one.alert)} ({rules.ALERTS[one.alert].severity})" for one in fault.expected]
    within = [spoken(fault.told_within(one)) for one in fault.expected]
    cells = [
        fault.title,
        fault.cause,
        fault.shows,
        "<br>".join(told) or "-",
        "<br>".join(within) or "-",
        ", ".join(map(_link, fault.held_back)) or "-",
        fault.ends,
    ]
    return "| " + " | ".join(cells) + " |\n"


def _link(alert: str) -> str:
    return f"[{alert}](runbook.md#{rules.ALERTS[alert].anchor})"
