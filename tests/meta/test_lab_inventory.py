"""The lab's inventory says where hosts are in plain values, for the lab that is meant."""

from __future__ import annotations

import json
from pathlib import Path

from support.playbooks import plugin
from support.repo import ROOT, load

addresses = plugin("inventories/lab/addresses.py")


def test_a_lab_s_folder_is_the_one_that_role_lab_host_makes() -> None:
    """The role hashes `<checkout> <lab>`; both are written down once each, and must not drift apart."""
    path = "(role_path | realpath | dirname | dirname)"
    expression = load("roles/lab_host/vars/main.yml")["lab_host__id"]
    assert f"{path} ~ ' ' ~ lab_host_lab) | hash('sha256') | truncate(8" in expression
    assert addresses.folder(Path("/srv/cerebrum"), "up").name == "4373caf1"


def test_hosts_have_plain_values(tmp_path: Path) -> None:
    """An expression in a connection variable is computed for every task: more than half of a small one's time."""
    facts = {"key": "/lab/key", "hosts": {"pi": {"address": "10.0.0.2"}, "vps": {"address": "10.0.0.3"}}}
    (tmp_path / "lab.json").write_text(json.dumps(facts), encoding="utf-8")
    found = addresses.variables(tmp_path)
    assert {name: row["ansible_host"] for name, row in found.items()} == {"pi": "10.0.0.2", "vps": "10.0.0.3"}
    assert "{{" not in json.dumps(found)
    for path in ROOT.glob("inventories/lab/**/*.yml"):
        for line in path.read_text(encoding="utf-8").splitlines():
            assert not ("ansible_" in line and "{{" in line), f"{path.name}: {line}"


def test_without_a_lab_nothing_is_said(tmp_path: Path) -> None:
    assert addresses.variables(tmp_path) == {}
