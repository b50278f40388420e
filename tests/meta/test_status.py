"""The table of `playbooks/status.yml`: what it says of a system that is whole, in part down, or not there at all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meta.surveys import EDGE, INFERENCE, away, nothing, system

from support.playbooks import plugin

status: Any = plugin("roles/status/filter_plugins/status.py")


def rows(hosts: dict[str, Any]) -> list[str]:
    return str(status.table(hosts)).splitlines()


def test_a_whole_system_fits_a_terminal_with_its_releases_in_full() -> None:
    head, pi, vps = rows(system())
    assert head.split() == ["host", "service", "release", "breaker", "slots", "model", "transport", "key"]
    assert pi.split() == ["pi", "edge", EDGE, *"-----"]
    assert vps.split() == ["vps", "inference", INFERENCE, "closed", "1/2", "cerebrum-tiny", "tunnel", "up", "3", "d"]


def test_a_host_that_is_away_is_a_row() -> None:
    hosts = system() | {"vps": away("inference", "reach", "Connection timed out")}
    _, _, vps = rows(hosts)
    assert vps.split(maxsplit=2) == ["vps", "inference", "cannot be reached: Connection timed out"]
    hosts["pi"] = away("edge", "sudo", "Missing sudo password")
    assert "does not let Ansible become root: Missing sudo password" in rows(hosts)[1]


def test_without_the_edge_the_host_tells_what_it_can() -> None:
    _, _, vps = rows(system() | {"pi": away("edge", "reach", "No route to host")})
    assert vps.split() == ["vps", "inference", INFERENCE, "?", "?", "?", "tunnel", "?", "3", "d"]


def test_what_is_down_is_told() -> None:
    hosts = system()
    inference = hosts["vps"]["found"]["facts"]["services"]["inference"]
    inference["units"][0] |= {"ActiveState": "failed"}
    inference["instance"] = ""
    pi = hosts["pi"]["found"]["facts"]
    pi["tunnels"]["vps"]["ActiveState"] = "activating"
    pi["services"]["edge"]["units"][0]["StatusText"] = "degraded: backend vps: it is gone"
    pi["services"]["edge"]["answers"]["stats"]["answer"]["backends"][0]["breaker"]["state"] = "open"
    pi["backends"]["vps"]["slots"] = {"problem": "Connection refused"}
    _, _, vps, *remarks = rows(hosts)
    assert vps.split() == ["vps", "inference", "failed", "open", "?", "?", "tunnel", "DOWN", "3", "d"]
    assert remarks == [
        "pi: edge says: degraded: backend vps: it is gone",
        "vps: does not answer its edge: Connection refused",
    ]


def test_keys() -> None:
    hosts = system()
    hosts["pi"]["found"]["facts"]["services"]["edge"]["answers"]["stats"] = {"status": 401, "problem": "a key"}
    _, _, vps, *remarks = rows(hosts)
    assert vps.split()[3] == "?"
    assert "set CEREBRUM_API_KEY_FILE" in " ".join(" ".join(remarks).split())
    hosts["pi"]["found"]["facts"]["keys"]["held"]["vps"]["digest"] = "b" * 64
    assert rows(hosts)[2].split()[-1] == "REFUSED"
    hosts["pi"]["found"]["facts"]["keys"]["held"] = {}
    hosts["vps"]["found"]["facts"]["keys"]["admitted"] = []
    assert rows(hosts)[2].split()[-1] == "none"


def test_hosts_that_nothing_was_deployed_to() -> None:
    hosts = system()
    for row in hosts.values():
        row["found"]["facts"] |= {
            "services": {"edge": nothing(), "inference": nothing()},
            "backends": {},
            "tunnels": {},
        }
        row["found"]["facts"]["keys"] = {"file": False, "admitted": [], "held": {}}
    _, pi, vps = rows(hosts)
    assert pi.split() == ["pi", "edge", "not", "deployed", *"-----"]
    assert vps.split() == ["vps", "inference", "not", "deployed", "?", "?", "?", "tunnel", "DOWN", "none"]


def test_instances_of_an_exchange_are_told() -> None:
    hosts = system()
    units = hosts["pi"]["found"]["facts"]["services"]["edge"]["units"]
    units.append({**units[0], "Id": "cerebrum-edge@0.2.0-dddddddddddd.00000003.service"})
    assert "pi: edge has 2 instances that run: " in rows(hosts)[3]


@pytest.mark.parametrize(
    ("seconds", "said"), [(-5, "future"), (0, "new"), (3600, "1 h"), (86_399, "23 h"), (86_400, "1 d")]
)
def test_ages(seconds: float, said: str) -> None:
    assert status.age(seconds) == said


@given(
    st.lists(st.text("abc-", min_size=1, max_size=40), min_size=1, max_size=4, unique=True),
    st.text(min_size=0, max_size=200),
)
def test_no_row_is_wider_than_the_terminal(names: list[str], problem: str) -> None:
    hosts = {name: away("inference", "reach", " ".join(problem.split())) for name in names}
    hosts |= {f"{name}x": row for name, row in zip(names, system().values(), strict=False)}
    assert all(len(line) <= status.WIDTH for line in rows(hosts)[: 1 + len(hosts)])


@given(st.text(max_size=30))
def test_strange_times_of_keys_are_a_question_mark(created: str) -> None:
    hosts = system()
    hosts["vps"]["found"]["facts"]["keys"]["admitted"][0]["created"] = created
    assert rows(hosts)[2].split()[-1] in {"?", "d", "h", "new", "future"}
