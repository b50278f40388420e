"""`playbooks/doctor.yml`: a whole system is well, and left as it is; each fault is found by its name."""

from __future__ import annotations

import re

import pytest

from nodes import Node
from operating import KEY, WIDTH, fault, plain, run, table, unchanged, untouched

pytestmark = pytest.mark.timeout(300)
STORE = "/var/lib/cerebrum/models"
FILL = f"mount -t tmpfs -o size=20m tmpfs {STORE} && head -c 19M /dev/zero > {STORE}/filler"
DIGESTS = "/etc/cerebrum/inference/api_keys"
WAITS = "/etc/cerebrum/edge/keys/vps.next"
HALF = "/opt/cerebrum/edge/releases/0.0.9-cut"


def broken(said: str) -> list[str]:
    """Names of the checks that it calls broken."""
    found = re.search(r"Broken: (.*?)\. What to do", plain(said))
    assert found, said[-3000:]
    return found[1].split(", ")


def test_all_is_well_and_nothing_is_changed_or_shown(pi: Node, vps: Node) -> None:
    with untouched(pi, vps):
        done = run("playbooks/doctor.yml", "-vvv", "--diff")
    assert done.returncode == 0, done.stdout[-5000:]
    assert unchanged(done)
    lines = table(done.stdout, "Doctor | Findings")
    assert {line.split()[0] for line in lines} == {"ok"}, "\n".join(lines)
    assert len(lines) >= 30
    assert max(map(len, lines)) <= WIDTH
    assert "came through from cerebrum-tiny" in done.stdout
    key = pi.host.file("/etc/cerebrum/edge/keys/vps").content_string
    assert key not in done.stdout
    assert KEY not in done.stdout


def test_a_wrong_digest_is_found_and_a_full_disk(pi: Node, vps: Node) -> None:
    digest = vps.host.file(DIGESTS).content_string.split()[1]
    other = "0" * 8 + digest[8:]
    begin = f"sed -i s/{digest}/{other}/ {DIGESTS} && {FILL}"
    end = f"umount {STORE}; sed -i s/{other}/{digest}/ {DIGESTS}"
    with fault(pi, vps, begin, end):
        done = run("playbooks/doctor.yml")
    assert done.returncode == 2
    found = broken(done.stdout)
    assert "vps: disk" in found
    assert "pi: key for vps" in found
    assert "vps: inference unit" not in found
    assert f"{STORE} has 1 MB of 21 MB left" in plain(done.stdout)
    assert "site.yml, for both hosts: it makes the pair agree" in plain(done.stdout)


def test_a_tunnel_that_is_down_is_found_and_what_was_left_behind(pi: Node, vps: Node) -> None:
    begin = f"systemctl stop cerebrum-tunnel@vps; touch {WAITS}; mkdir {HALF}; touch /run/reboot-required"
    end = f"rm -r {WAITS} {HALF} /run/reboot-required; systemctl start cerebrum-tunnel@vps"
    with fault(pi, pi, begin, end):
        done = run("playbooks/doctor.yml")
    assert done.returncode == 2
    found = broken(done.stdout)
    assert {"pi: way to vps", "pi: reaches vps", "pi: left over"} <= set(found)
    assert not [name for name in found if name.startswith("vps: ")]
    said = plain(done.stdout)
    assert f"left over {WAITS}, {HALF}" in said
    assert "note pi reboot" in said


def test_a_firewall_that_is_not_there_is_found_and_a_clock_that_is_wrong(pi: Node, vps: Node) -> None:
    # The hosts' clock is this machine's: what goes wrong is what the controller takes for its own.
    early = "{{ now().timestamp() - 3600 }}"
    with fault(pi, vps, "nft delete table inet cerebrum", "systemctl restart cerebrum-firewall"):
        done = run("playbooks/doctor.yml", "-e", f'{{"survey__now": "{early}"}}')
    assert done.returncode == 2
    assert broken(done.stdout) == ["pi: clock", "vps: clock", "vps: firewall"]
    assert "s ahead of this machine's" in done.stdout
