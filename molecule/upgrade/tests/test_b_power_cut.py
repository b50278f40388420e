"""Power is cut on the Pi at each step of an upgrade. It serves when it is back, and the next run goes on from there."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from nodes import Node
from plays import ABORTED, play
from support import playbooks
from trees import copy

pytestmark = pytest.mark.timeout(1800)
# Each the last before the power fails; every run has the one before behind it, so it must pass what that one left.
STEPS = [
    "App | Wheels and requirements are there",
    "App | Virtual environment is made",
    "App | Release is complete",
    "App | Instance's settings and unit are written",
    "App | Socket listens",
    "App | New instance has become ready",
    "App | It is noted that the new instance served",
    "App | Socket names the new instance",
    "App | New instance starts at boot",
    "App | Old instances do not start at boot",
    "App | Old instances have drained",
]


def test_power_cut_at_each_step_of_an_upgrade(pi: Node, tmp_path: Path) -> None:
    tree = copy(tmp_path / "tree", "next")
    tree.version("9.1.0")
    old = pi.instance()
    for step in STEPS:
        done = play("playbooks/edge.yml", abort_after=step, root=tree.root)
        assert done.returncode == ABORTED, f"{step} was not reached: {done.stdout[-4000:]}"
        cut = playbooks.play("molecule/upgrade/power_cut.yml", inventory="localhost,")
        assert cut.returncode == 0, cut.stdout[-4000:]
        assert_serves(pi, step)
    done = play("playbooks/edge.yml", root=tree.root)
    assert done.returncode == 0, done.stdout[-4000:]
    assert "@9.1.0-" in pi.instance()
    assert pi.instance() != old
    assert_serves(pi, "the last run")
    again = play("playbooks/edge.yml", root=tree.root)
    assert again.stdout.count("changed=0") == 2, again.stdout[-2000:]
    # What a boot starts is what serves, and nothing of the tries is left.
    assert pi.host.file("/etc/systemd/system/multi-user.target.wants").listdir().count(pi.instance()) == 1
    started = pi.host.check_output("systemctl list-units --all --plain --no-legend 'cerebrum-edge@*'")
    assert [line.split()[0] for line in started.splitlines()] == [pi.instance()]


def assert_serves(pi: Node, step: str) -> None:
    """Asks once, with patience: the socket listens before its service is up."""
    body = {"prompt": "def f():", "model": "cerebrum-tiny", "max_tokens": 4}
    transport = httpx.HTTPTransport(retries=20)  # connections alone: the network of the host may come after its ssh
    with httpx.Client(transport=transport, timeout=60) as client:
        answer = client.post(f"{pi.url}/v1/complete", json=body)
    assert answer.status_code == 200, f"{step}: {answer.text}"
