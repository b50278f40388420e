"""`playbooks/status.yml`: the table of a system that is whole, of one in part down, and of one whose host is away."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodes import Node
from operating import STOP, WIDTH, fault, plain, run, serves, table, unchanged
from tunnel import until

pytestmark = pytest.mark.timeout(300)
AWAY = """
all:
  hosts:
    vps:
      ansible_port: 1
"""


def instance(node: Node) -> str:
    return node.instance().partition("@")[2].removesuffix(".service")


def test_whole(pi: Node, vps: Node) -> None:
    until(lambda: serves(pi), "the system serves")
    done = run("playbooks/status.yml")
    assert done.returncode == 0, done.stdout
    assert unchanged(done)
    head, first, second = table(done.stdout, "Status | The system")
    assert head.split() == ["host", "service", "release", "breaker", "slots", "model", "transport", "key"]
    assert first.split() == ["pi", "edge", instance(pi), *"-----"]
    expected = ["vps", "inference", instance(vps), "closed", "0/2", "cerebrum-tiny", "tunnel", "up"]
    assert second.split()[: len(expected)] == expected
    assert second.split()[-1] in {"new", "h"}
    assert max(map(len, (head, first, second))) <= WIDTH


def test_a_host_that_is_away_is_a_row(pi: Node, tmp_path: Path) -> None:
    (tmp_path / "away.yml").write_text(AWAY, encoding="utf-8")
    done = run("playbooks/status.yml", "-i", str(tmp_path / "away.yml"))
    assert done.returncode == 0, done.stdout
    _, first, second, *_ = table(done.stdout, "Status | The system")
    assert first.split()[2] == instance(pi)
    assert second.split(maxsplit=2)[:2] == ["vps", "inference"]
    assert "cannot be reached" in second
    assert "port 1" in second

    doctor = run("playbooks/doctor.yml", "-i", str(tmp_path / "away.yml"))
    assert doctor.returncode == 2
    assert "Broken: vps: reach. " in plain(doctor.stdout)
    assert "- pi key for vps not compared: vps cannot be asked" in plain(doctor.stdout)


def test_with_the_inference_service_stopped_both_say_so(pi: Node, vps: Node) -> None:
    with fault(pi, vps, STOP, f"systemctl start cerebrum-inference.socket '{vps.instance()}'"):
        status, doctor = run("playbooks/status.yml"), run("playbooks/doctor.yml")
    assert status.returncode == 0, status.stdout
    _, first, second, *remarks = table(status.stdout, "Status | The system")
    assert first.split()[2].startswith("0.")
    assert second.split()[2] == "stopped"
    assert "does not answer its edge" in plain(" ".join(remarks))
    assert doctor.returncode == 2
    for words in ("vps: inference unit", "vps: inference socket", "pi: reaches vps", "pi: token"):
        assert words in plain(doctor.stdout).partition("Broken: ")[2], words
