"""Runs `promtool test rules` on cases: of a file of rules, the alert in question and whatever the file records."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from support.alert_cases import Case
from support.prometheus import promtool


def run(
    cases: Sequence[Case], rules: Mapping[str, Any], thresholds: Mapping[str, Any], folder: Path
) -> subprocess.CompletedProcess[str]:
    """Tries cases of one alert.

    Args:
        rules: the content of the file that has the alert; its other alerts are left out, which saves most of the time.
        thresholds: the content of the file with the numbers that rules compare with.
        folder: where the files for promtool are written.
    """
    alert = cases[0].alert
    groups = [*thresholds["groups"], *_without_others(rules["groups"], alert)]
    _write(folder / "rules.yml", {"groups": groups})
    for case in cases:
        _write(folder / f"{case.id}.yml", _file(case, [group["name"] for group in groups]))
    return promtool("test", "rules", *(folder / f"{case.id}.yml" for case in cases))


def _without_others(groups: Sequence[Mapping[str, Any]], alert: str) -> list[dict[str, Any]]:
    """The groups with the alert alone, and with what has to be recorded for it."""
    every = [rule for group in groups for rule in group["rules"]]
    wanted = next(rule for rule in every if rule.get("alert") == alert)
    slo = wanted["labels"].get("slo")
    exprs, kept = wanted["expr"], [wanted]
    # Backwards, since what is recorded later is made of what was recorded before.
    for rule in reversed([one for one in every if "record" in one and one.get("labels", {}).get("slo") == slo]):
        if re.search(rf"{re.escape(rule['record'])}\b", exprs):
            kept.append(rule)
            exprs += rule["expr"]
    return [{**group, "rules": [rule for rule in group["rules"] if rule in kept]} for group in groups]


def _file(case: Case, groups: list[str]) -> dict[str, Any]:
    return {
        "rule_files": ["rules.yml"],
        "evaluation_interval": f"{case.step}s",
        # Else by chance: a rule that compares with a number of this evaluation, or with that of the last one.
        "group_eval_order": groups,
        "tests": [
            {
                "interval": f"{case.step}s",
                "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
                "alert_rule_test": case.looks(),
            }
        ],
    }


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(yaml.safe_dump(dict(content), sort_keys=False), encoding="utf-8")
