"""What role prometheus makes of an operator's thresholds."""

from __future__ import annotations

import yaml

from support.playbooks import plugin
from support.repo import ROOT

ROLE = plugin("roles/prometheus/filter_plugins/thresholds.py")
RULES = ROOT / "roles/prometheus/files/rules"


def numbers(text: str) -> dict[str, str]:
    (group,) = yaml.safe_load(text)["groups"]
    return {rule["record"].rpartition(":")[2]: rule["expr"] for rule in group["rules"]}


def test_numbers_of_the_operators_own_take_the_place_of_ours_and_of_no_others() -> None:
    text = (RULES / "thresholds.yml").read_text(encoding="utf-8")
    own = ROLE.with_thresholds(text, {"key_age_days": 90, "disk_full_ratio": 0.9})
    assert numbers(own) == {**numbers(text), "key_age_days": "vector(90)", "disk_full_ratio": "vector(0.9)"}
    assert ROLE.with_thresholds(text, {}) == text


def test_every_threshold_that_there_is_can_be_set() -> None:
    texts = [path.read_text(encoding="utf-8") for path in sorted(RULES.glob("*.yml"))]
    names = numbers((RULES / "thresholds.yml").read_text(encoding="utf-8"))
    assert ROLE.problems(texts, dict.fromkeys(names, 1)) == []
    for given in (True, "1", float("nan"), None):
        assert ROLE.problems(texts, {"key_age_days": given}) == [
            f"prometheus_thresholds has {given!r} for key_age_days; write a number."
        ]
