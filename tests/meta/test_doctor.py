"""What `playbooks/doctor.yml` finds: nothing in a system that is whole, and every fault by its name."""

from __future__ import annotations

from typing import Any

import pytest
from meta.surveys import NOW, away, nothing, system

from support.playbooks import plugin

by_host: Any = plugin("roles/doctor/filter_plugins/doctor_hosts.py")
by_way: Any = plugin("roles/doctor/filter_plugins/doctor_ways.py")
told: Any = plugin("roles/doctor/filter_plugins/doctor_report.py")
survey: Any = plugin("roles/survey/filter_plugins/survey.py")


def found(hosts: dict[str, Any]) -> list[list[str]]:
    return list(by_host.findings(hosts)) + list(by_way.findings(hosts))


def put(hosts: dict[str, Any], path: str, value: Any) -> None:
    """Changes what a host said: `vps system memory available`; a host alone is the whole of it."""
    first, *words = path.split()
    if not words:
        hosts[first] = value
        return
    part = hosts[first]["found"]["facts"]
    for word in words[:-1]:
        part = part[int(word)] if word.isdigit() else part[word]
    if words[-1].isdigit():
        part.append(value)
    else:
        part[words[-1]] = value


UNIT = "vps services inference units 0"
SOCKET = "vps services inference socket"
SECOND = {"Id": "cerebrum-inference@b.service", "ActiveState": "active", "enabled": False}
REFUSED = {"status": 401, "problem": "A valid key is needed"}
# What is changed, to what; the checks that find it, and words of theirs.
FAULTS: dict[str, tuple[str, Any, str, str]] = {
    "away": ("vps", away("inference", "reach", "timed out"), "vps: reach", "cannot be reached: timed out"),
    "sudo": ("vps", away("inference", "sudo", "no"), "vps: reach", "--ask-become-pass"),
    "clock behind": ("vps time", NOW - 60, "vps: clock", "60 s behind this machine's"),
    "clock ahead": ("vps time", NOW + 90, "vps: clock", "90 s ahead of this machine's"),
    "disk": ("vps system disks 0 free", 1e8, "vps: disk", "/ has 100 MB of 64 GB left"),
    "inodes": ("vps system disks 0 inodes_free", 2, "vps: disk", "2 of 1000 inodes"),
    "read-only": ("pi system disks 0 readonly", True, "pi: disk", "read-only"),
    "memory": ("vps system memory available", 4e7, "vps: memory", "40 MB of 4 GB"),
    "not deployed": ("vps services inference", nothing(), "vps: inference release", "never deployed"),
    "release gone": ("vps services inference releases", {}, "vps: inference release", "is gone"),
    "release cut": (
        "vps services inference releases 0.1.0-bbbbbbbbbbbb",
        False,
        "vps: inference release",
        "0.1.0-bbbbbbbbbbbb is not complete",
    ),
    "stopped": (
        f"{UNIT} ActiveState",
        "inactive",
        "vps: inference unit",
        "systemctl start cerebrum-inf",
    ),
    "failed": (f"{UNIT} ActiveState", "failed", "vps: inference unit", "is failed"),
    "not at boot": (f"{UNIT} enabled", False, "vps: inference unit", "at boot none starts"),
    "degraded": (f"{UNIT} StatusText", "degraded: x", "vps: inference unit", "says: degraded: x"),
    "exchange cut": (
        "vps services inference units 1",
        SECOND,
        "vps: inference release, vps: inference unit",
        "was cut",
    ),
    "socket": (f"{SOCKET} active", "inactive", "vps: inference socket", "is inactive"),
    "address": (f"{SOCKET} bound", ["127.0.0.1:22"], "vps: inference socket", "nothing listens at"),
    "socket at boot": (f"{SOCKET} enabled", False, "vps: inference socket", "does not start at boot"),
    "socket's service": (f"{SOCKET} service", "x.service", "vps: inference unit", "the socket would start x.service"),
    "health": ("vps services inference answers health", {"problem": "gone"}, "vps: inference answers", "/health: gone"),
    "firewall": ("pi firewall table", False, "pi: firewall", "is not loaded"),
    "firewall accepts": ("pi firewall drops", False, "pi: firewall", "drop nothing"),
    "firewall at boot": ("pi firewall enabled", False, "pi: firewall", "not loaded at boot"),
    "tunnel": ("pi tunnels vps ActiveState", "activating", "pi: way to vps", "is activating"),
    "no key": ("pi keys held", {}, "pi: key for vps", "there is none"),
    "no digests": ("vps keys file", False, "pi: key for vps", "no file of digests"),
    "wrong digest": ("pi keys held vps digest", "b" * 64, "pi: key for vps", "does not admit it"),
    "old key runs": ("pi keys held vps running", ["c" * 64], "pi: key for vps", "runs with another"),
    "no backend": ("pi backends", {}, "pi: reaches vps", "does not know it"),
    "backend refuses": ("pi backends vps slots", REFUSED, "pi: reaches vps", "it makes the pair agree"),
    "no model": ("pi backends vps models answer models", [], "pi: model on vps", "there is none"),
    "no token": ("pi services edge answers token", {"problem": "HTTP 503"}, "pi: token", "HTTP 503"),
    "failed unit": ("pi system failed", ["cerebrum-firewall.service"], "pi: failed units", "cerebrum-firewall.service"),
    "left over": ("pi system leftovers", ["/x/vps.next"], "pi: left over", "/x/vps.next"),
    "half installed": ("pi system upgrades audit", ["linux-image"], "pi: upgrades", "dpkg --configure -a"),
}


def test_in_a_whole_system_every_check_is_ok() -> None:
    rows = found(system())
    assert {row[0] for row in rows} == {"ok"}
    assert len({(row[1], row[2]) for row in rows}) == len(rows) >= 30


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_has_its_name_and_says_what_to_do(fault: str) -> None:
    hosts = system()
    path, value, names, words = FAULTS[fault]
    put(hosts, path, value)
    rows = found(hosts)
    assert ", ".join(told.troubles(rows)) == names
    assert words in " ".join(told.report(rows).split())
    assert all(mend for verdict, _, _, _, mend in rows if verdict == "TROUBLE")


def test_what_cannot_be_asked_is_no_trouble_of_its_own() -> None:
    hosts = system()
    put(hosts, "pi services edge answers token", REFUSED)
    put(hosts, "pi system reboot", {"required": True, "packages": ["linux-image-amd64"]})
    put(hosts, "pi system failed", ["apt-daily.service"])
    hosts["pi"]["firewall"] = False
    rows = found(hosts)
    assert told.troubles(rows) == []
    assert sorted({row[0] for row in rows}) == ["-", "note", "ok"]
    both_away = {"pi": away("edge", "reach", "x"), "vps": away("inference", "reach", "y")}
    assert told.troubles(found(both_away)) == ["pi: reach", "vps: reach"]


def test_an_edge_that_does_not_run_is_told_and_nothing_behind_it() -> None:
    hosts = system()
    put(hosts, "pi services edge units 0 ActiveState", "inactive")
    put(hosts, "pi services edge instance", "")
    put(hosts, "pi services edge answers", {"health": {"problem": "Connection refused"}})
    put(hosts, "pi backends", {})
    assert told.troubles(found(hosts)) == ["pi: edge unit", "pi: edge answers"]


def test_before_a_balancer_the_edge_is_asked_for_what_it_knows() -> None:
    hosts = system()
    backends = hosts["pi"]["found"]["facts"]["backends"]
    backends["balancer"] = backends.pop("vps")
    put(hosts, "pi keys held", {"pool": {"digest": "b" * 64, "running": ["b" * 64]}})
    assert told.troubles(found(hosts)) == []
    backends["balancer"]["slots"] = {"problem": "Connection refused"}
    assert told.troubles(found(hosts)) == ["pi: reaches balancer"]


def test_small_file_systems_may_be_small() -> None:
    hosts = system()
    put(hosts, "pi system disks 0 total", 2e8)
    put(hosts, "pi system disks 0 free", 1.9e8)
    assert told.troubles(found(hosts)) == []


def test_a_tailnet_is_looked_at_on_both_ends() -> None:
    hosts = system()
    for row in hosts.values():
        row["transport"] = "tailscale"
        row["found"]["facts"]["tailnet"] = {"state": "Running"}
    assert told.troubles(found(hosts)) == []
    put(hosts, "vps tailnet", {"state": "NeedsLogin"})
    assert told.troubles(found(hosts)) == ["vps: tailnet"]


def test_a_fault_hides_no_other() -> None:
    """Any two faults of different hosts or parts: what one finds, both find."""
    independent = ["disk", "firewall", "left over", "clock behind", "half installed", "memory"]
    for one in independent:
        for other in independent:
            hosts = system()
            for name in {one, other}:
                put(hosts, *FAULTS[name][:2])
            assert set(told.troubles(found(hosts))) == {FAULTS[one][2], FAULTS[other][2]}


def test_lines_fit_a_terminal() -> None:
    hosts = system()
    put(hosts, f"{UNIT} ActiveState", "failed")
    put(hosts, f"{UNIT} Result", "exit-code")
    assert all(len(line) <= told.WIDTH for line in told.report(found(hosts)).splitlines() if " " in line.strip())


@pytest.mark.parametrize(
    ("result", "kind", "problem"),
    [
        (
            {
                "unreachable": True,
                "msg": "Task failed: Failed to connect to the host via ssh: ssh: port 1: Connection refused",
            },
            "reach",
            "ssh: port 1: Connection refused",
        ),
        (
            {"unreachable": True, "msg": 'Data could not be sent to "x". It must be reached over ssh: ssh: no'},
            "reach",
            "ssh: no",
        ),
        ({"failed": True, "msg": "Missing sudo password"}, "sudo", "Missing sudo password"),
        (
            {"failed": True, "msg": "The module interpreter '/usr/bin/python3' was not found."},
            "survey",
            "The module interpreter",
        ),
        ({}, "survey", "it gives no answer"),
    ],
)
def test_why_a_host_cannot_be_asked(result: dict[str, Any], kind: str, problem: str) -> None:
    outcome = survey.outcome(result, NOW)
    assert (outcome["kind"], outcome["facts"]) == (kind, {})
    assert outcome["problem"].startswith(problem)
    assert survey.outcome({"survey": {"time": NOW}, "asked_at": NOW - 1}, NOW)["asked"] == [NOW - 1, NOW]
