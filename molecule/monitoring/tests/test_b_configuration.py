"""What is wrong replaces nothing, and what is new is loaded while Prometheus goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from watching import SCALE, WAITS, api, play, scaled

from nodes import Node

# Plays take as long as the machine needs; a test that hangs is what this is for.
pytestmark = pytest.mark.timeout(900)
UNITS = ("prometheus.service", "prometheus-alertmanager.service")


def processes(pi: Node) -> list[str]:
    return [str(pi.host.check_output(f"systemctl show --property=MainPID --value {unit}")) for unit in UNITS]


def rules(pi: Node) -> set[tuple[str, float]]:
    """Names of the rules in force, with how long alerts have to last."""
    groups = api(pi, "rules")["groups"]
    return {(rule["name"], rule.get("duration", 0)) for group in groups for rule in group["rules"]}


def test_rules_that_are_no_rules_replace_nothing(pi: Node, tmp_path: Path) -> None:
    before, running = rules(pi), processes(pi)
    current = pi.host.check_output("readlink /etc/cerebrum/prometheus/current")
    (tmp_path / "bad.yml").write_text("groups: [{name: x, rules: [{alert: X, expr: 'sum('}]}]\n", encoding="utf-8")
    done = play("-e", f"prometheus_rules={tmp_path}")
    assert done.returncode != 0
    said = " ".join(done.stdout.split())
    assert "are not valid, and those before stay in force on pi" in said, said[-3000:]
    assert "unclosed left parenthesis" in said, said[-3000:]
    assert (rules(pi), processes(pi)) == (before, running)
    assert pi.host.check_output("readlink /etc/cerebrum/prometheus/current") == current
    assert pi.host.check_output("ls /etc/cerebrum/prometheus").split() == sorted([current, "current"])


def test_a_tree_that_is_none_replaces_nothing(pi: Node, tmp_path: Path) -> None:
    path = "/etc/cerebrum/alertmanager/alertmanager.yml"
    before, running = pi.host.file(path).content_string, processes(pi)
    (tmp_path / "tree.yml").write_text("route: {receiver: somebody}\n", encoding="utf-8")
    done = play("-e", f"alertmanager_tree={tmp_path}/tree.yml")
    assert done.returncode != 0
    assert "undefined receiver" in " ".join(done.stdout.split()), done.stdout[-3000:]
    assert pi.host.file(path).content_string == before
    assert processes(pi) == running


def test_other_rules_and_another_tree_are_loaded_without_a_restart(pi: Node, tmp_path: Path) -> None:
    """Those with shorter times, which the faults after this are told by."""
    before, running = rules(pi), processes(pi)
    done = play(*scaled(tmp_path, SCALE, WAITS))
    assert done.returncode == 0, done.stdout[-4000:]
    assert rules(pi) != before
    assert {name for name, _ in rules(pi)} == {name for name, _ in before}
    assert processes(pi) == running
