"""What is written from the tables, and that nothing is left out of them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from monitoring import __main__ as generator
from monitoring import faults, files, rules, thresholds
from monitoring.durations import seconds
from monitoring.model import Alert
from support.alert_cases import CASES
from support.prometheus import promtool
from support.repo import ROOT, load

RULES = ROOT / files.RULES
RUNBOOK = (ROOT / rules.RUNBOOK).read_text(encoding="utf-8")
# It fires always: nothing must not raise it.
ALWAYS = {"Watchdog"}
# Its thresholds' file is another one: test_thresholds.py.
ELSEWHERE = {"ThresholdsMissing"}
# What counts requests, or shares of them: with few, one must not be taken for many.
_COUNTED = re.compile("shed|refused_total|status=|queue_depth|transitions|load_failures")
COUNTING = {name for name, alert in rules.ALERTS.items() if alert.labels.get("slo") or _COUNTED.search(alert.expr)}
_METRIC = re.compile(r"[a-z_:]+(?=\{)")


def _generator(*args: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "monitoring", *args], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_committed_files_are_what_the_tables_say() -> None:
    done = _generator("--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_difference_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in files.committed().items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("for: 2m", "for: 3m"), encoding="utf-8")
    (tmp_path / files.RULES / "old.yml").write_text("groups: []\n", encoding="utf-8")
    monkeypatch.setattr(generator, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["monitoring", "--check"])
    assert generator.main() == 1
    said = capsys.readouterr().err
    assert "-        for: 3m\n+        for: 2m\n" in said
    assert "old.yml" in said
    monkeypatch.setattr(sys, "argv", ["monitoring"])
    assert generator.main() == 0
    monkeypatch.setattr(sys, "argv", ["monitoring", "--check"])
    assert generator.main() == 0


def test_promtool_takes_every_file() -> None:
    done = promtool("check", "rules", *sorted(RULES.glob("*.yml")))
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(path.name for path in RULES.glob("*.yml")) == sorted(rules.FILES)


def test_rules_for_a_lab_have_shorter_times(tmp_path: Path) -> None:
    assert _generator("--scale", "0.1", "--out", tmp_path).returncode == 0
    done = promtool("check", "rules", *sorted(tmp_path.glob("rules/*.yml")))
    assert done.returncode == 0, done.stdout + done.stderr
    for name in rules.FILES:
        given, short = load(RULES / name), load(tmp_path / "rules" / name)
        for one, other in zip(_alerts(given), _alerts(short), strict=True):
            assert one["alert"] == other["alert"]
            assert seconds(other.get("for", "0s")) * 10 == seconds(one.get("for", "0s"))
    assert load(tmp_path / "tree.yml")["route"]["group_wait"] == "12s"


def test_thresholds_are_what_an_operator_says(tmp_path: Path) -> None:
    done = _generator("--out", tmp_path, "--set", "key_age_days=90", "--set", "probe_wanted=0")
    assert done.returncode == 0, done.stderr
    given, other = load(RULES / files.THRESHOLDS), load(tmp_path / "rules" / files.THRESHOLDS)
    changed = {
        one["record"]: one["expr"]
        for one, before in zip(other["groups"][0]["rules"], given["groups"][0]["rules"], strict=True)
        if one != before
    }
    assert changed == {"cerebrum:threshold:key_age_days": "vector(90)", "cerebrum:threshold:probe_wanted": "vector(0)"}
    assert load(tmp_path / "rules/hosts.yml") == load(RULES / "hosts.yml")


def _alerts(content: Any) -> list[dict[str, Any]]:
    return [rule for group in content["groups"] for rule in group["rules"] if "alert" in rule]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--scale", "0.1"], "--scale and --set want --out"),
        (["--set", "key_age_days=90"], "--scale and --set want --out"),
        (["--out", "x", "--set", "key_age_day=90"], "threshold 'key_age_day': there are card_worn_ratio, "),
        (["--out", "x", "--set", "key_age_days=old"], "'key_age_days=old': wanted is NAME=NUMBER"),
        (["--scale", "0", "--out", "x"], "--scale 0: wanted is a number above 0 and up to 1"),
        (["--check", "--scale", "0.1", "--out", "x"], "--check stands alone"),
    ],
)
def test_bad_arguments_are_refused(arguments: list[str], says: str) -> None:
    done = _generator(*arguments)
    assert done.returncode == 2
    assert says in done.stderr


@pytest.mark.parametrize("alert", sorted(rules.ALERTS))
def test_no_alert_lacks_its_cases(alert: str) -> None:
    cases = [case for case in CASES if case.alert == alert]
    kinds = {case.kind for case in cases}
    assert "fires" in kinds or alert in ELSEWHERE
    assert "quiet" in kinds or alert in ALWAYS
    if alert in COUNTING:
        assert "idle" in kinds, "a case with few requests is missing"
    # What must not fire has what makes it fire, with other values: else it would be quiet for want of series.
    firing = [_metrics(case.series) for case in cases if case.kind == "fires"]
    for case in cases:
        if case.kind != "fires" and case.series:
            assert any(_metrics(case.series) >= those for those in firing), f"{case.id} lacks series that fire"


def _metrics(series: object) -> set[str]:
    return set(_METRIC.findall(" ".join(series))) if isinstance(series, dict) else set()


def test_every_case_is_of_an_alert_and_has_a_name_of_its_own() -> None:
    assert {case.alert for case in CASES} <= set(rules.ALERTS)
    names = [case.id for case in CASES]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("alert", rules.ALERTS.values(), ids=lambda alert: alert.name)
def test_an_alert_tells_what_is_so_and_what_to_do(alert: Alert) -> None:
    assert alert.severity in ("page", "ticket", "none")
    assert alert.summary[-1] not in ".:"
    assert len(alert.summary) < 100
    assert alert.severity == "none" or "First: " in alert.description
    for text in (alert.summary, alert.description):
        assert text.count("{{") == text.count("}}")


def test_every_alert_has_its_section_and_every_section_its_alert() -> None:
    sections = re.findall(r"(?m)^## (.+)$", RUNBOOK)
    assert sorted(sections) == sorted(rules.ALERTS)


@pytest.mark.parametrize("alert", sorted(rules.ALERTS))
def test_a_section_says_what_it_means_how_to_see_it_and_how_to_mend_it(alert: str) -> None:
    section = RUNBOOK.split(f"\n## {alert}\n")[1].split("\n## ")[0]
    assert re.findall(r"(?m)^\*\*(\w+)\.\*\* \S", section) == ["Means", "Check", "Mend"]


def test_links_of_rules_lead_to_sections() -> None:
    anchors = {heading.lower() for heading in re.findall(r"(?m)^## (.+)$", RUNBOOK)}
    for name in rules.FILES:
        for rule in _alerts(load(RULES / name)):
            page, anchor = rule["annotations"]["runbook_url"].split("#")
            assert (ROOT / page).is_file()
            assert anchor in anchors


@pytest.mark.parametrize("page", [rules.RUNBOOK, files.FAULTS])
def test_links_of_the_pages_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\(([a-z_.-]*)(?:#([a-z0-9-]+))?\)", text):
        path = ROOT / "docs" / target if target else ROOT / page
        assert path.is_file(), target
        if anchor:
            headings = re.findall(r"(?m)^#+ (.+)$", path.read_text(encoding="utf-8"))
            assert anchor in {re.sub(r"[^a-z0-9 -]", "", one.lower()).replace(" ", "-") for one in headings}, anchor


def test_faults_name_alerts_and_have_names_of_their_own() -> None:
    ids = [fault.id for fault in faults.FAULTS]
    assert len(ids) == len(set(ids))
    for fault in faults.FAULTS:
        assert {one.alert for one in fault.expected} | set(fault.held_back) <= set(rules.ALERTS)


def test_a_fault_is_told_when_it_lasted_and_was_seen_and_sent() -> None:
    stopped = next(fault for fault in faults.FAULTS if fault.id == "edge-stopped")
    assert stopped.fires_within(stopped.expected[0]) == 15 + 15 + 120 + 15
    assert stopped.told_within(stopped.expected[0]) == 15 + 15 + 120 + 15 + 30
    assert stopped.told_within(stopped.expected[0], 0.1, 0.02) == round(15 + 15 + 12 + 15 + 0.6)


def test_rules_use_thresholds_that_there_are_and_all_of_them() -> None:
    used = {name for alert in rules.ALERTS.values() for name in re.findall(rf"{thresholds.PREFIX}(\w+)", alert.expr)}
    assert used == {one.name for one in thresholds.THRESHOLDS}
