"""What is there after a deployment: who is asked, what listens, what is written, and what it costs."""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Callable
from functools import partial

import pytest
from watching import answering, targets, until, value

from nodes import Node

UNITS = {
    "prometheus.service": 11,
    "prometheus-alertmanager.service": 11,
    "prometheus-node-exporter.service": 14,
    "cerebrum-textfile.service": 9,
    "cerebrum-probe.service": 11,
}


def test_everything_is_asked_under_its_host_s_name_and_answers(pi: Node) -> None:
    until(lambda: answering(pi, targets("pi")), "targets that are up", seconds=60)


def test_services_are_asked_with_a_key_that_is_prometheus_own(pi: Node, vps: Node) -> None:
    for node, file, name in ((pi, "edge/client_keys", "edge.pi"), (vps, "inference/api_keys", "inference.vps")):
        key = pi.host.file(f"/etc/cerebrum/monitoring/keys/{name}")
        assert (key.user, key.group, key.mode) == ("root", "prometheus", 0o640)
        digest = pi.host.check_output(f"sha256sum /etc/cerebrum/monitoring/keys/{name}").split()[0]
        lines = node.host.file(f"/etc/cerebrum/{file}").content_string.splitlines()
        assert [line.split()[1] for line in lines if line.startswith("prometheus.pi.")] == [digest]


@pytest.mark.parametrize(("name", "own"), [("pi", set()), ("vps", {9000, 9100})])
def test_nothing_of_it_listens_where_others_are(name: str, own: set[int], request: pytest.FixtureRequest) -> None:
    node: Node = request.getfixturevalue(name)
    lines = node.host.check_output("ss -Htuln").splitlines()
    open_ports = {int(line.split()[4].rpartition(":")[2]) for line in lines if "127.0.0.1:" not in line.split()[4]}
    assert open_ports - {22, 7000} == own, lines


def test_exporter_is_let_in_for_the_monitoring_host_alone(pi: Node, vps: Node) -> None:
    rules = vps.host.check_output("nft list table inet cerebrum")
    lines = [line for line in rules.splitlines() if "dport 9100" in line]
    sources = [found[1] for line in lines if (found := re.search(r"ip6? saddr (\S+) ", line))]
    assert lines
    assert len(sources) == len(lines), lines
    assert set(sources) == {pi.address, pi.address6}


@pytest.mark.parametrize("unit", UNITS)
def test_exposure_is_as_low_as_it_gets(unit: str, pi: Node, tell: Callable[[str], None]) -> None:
    done = pi.host.run(f"systemd-analyze security --no-pager --threshold={UNITS[unit]} {unit}")
    assert done.rc == 0, done.stdout
    tell(f"{unit}: {done.stdout.splitlines()[-1].strip('→ ')}")


def test_what_the_exporter_does_not_tell_by_itself_arrives(pi: Node, vps: Node) -> None:
    for node, name in ((pi, "pi"), (vps, "vps")):
        query = f'node_systemd_unit_state{{name="{node.instance()}",state="active",instance="{name}"}}'
        until(partial(told_as_active, pi, query), query, seconds=90)
    assert value(pi, 'node_filesystem_readonly{mountpoint="/"}') == {"pi": 0, "vps": 0}


def told_as_active(pi: Node, query: str) -> bool:
    return list(value(pi, query).values()) == [1.0]


def test_the_probe_s_series_arrive(pi: Node) -> None:
    until(lambda: value(pi, "cerebrum_probe_success") == {"pi": 1}, "a probe that had its token", seconds=90)


# Looks for words that come encoded, so that it does not find itself.
_SEARCH = """
import base64, pathlib, subprocess, sys
words = [base64.b64decode(word) for word in sys.argv[1:]]
journal = subprocess.run(["journalctl", "--no-pager", "--output=cat"], capture_output=True).stdout
seen = [("journal", journal)]
seen += [(str(path), path.read_bytes()) for path in pathlib.Path("/proc").glob("[0-9]*/cmdline")]
for root in ("/etc", "/run", "/var/lib", "/var/log"):
    for path in pathlib.Path(root).rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_mode & 0o007 and path.stat().st_size < 4_000_000:
            seen.append((str(path), path.read_bytes()))
print(" ".join(name for name, text in seen if any(word in text for word in words)))
"""


def test_secrets_are_where_they_are_needed_and_nowhere_else(pi: Node) -> None:
    folder = "/etc/cerebrum/monitoring/keys"
    keys = [pi.host.file(f"{folder}/{name}").content_string for name in ("edge.pi", "inference.vps")]
    words = [base64.b64encode(word.encode()).decode() for word in ("token-of-the-scenario", *keys)]
    kept = pi.host.file("/etc/cerebrum/alertmanager/secrets/0")
    assert (kept.user, kept.group, kept.mode, kept.content_string) == (
        "root",
        "prometheus",
        0o640,
        "token-of-the-scenario",
    )
    assert pi.host.file("/etc/cerebrum/alertmanager/alertmanager.yml").mode == 0o640
    assert pi.host.check_output(f"python3 -c {shlex.quote(_SEARCH)} {' '.join(words)}") == ""


def test_what_it_costs(pi: Node, vps: Node, tell: Callable[[str], None]) -> None:
    for node in (pi, vps):
        for line in node.host.check_output("ps -eo rss,comm --no-headers | grep prometheus").splitlines():
            kib, name = line.split()
            tell(f"{name} on {node.service}'s host: {int(kib) // 1024} MB resident")
