"""Keys that Prometheus has are exchanged; then the watching moves from the edge to a host of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from watching import answering, play, targets, until, value

from nodes import Node

pytestmark = pytest.mark.timeout(900)
MOVED = Path(__file__).parents[1] / "moved.ini"
KEYS = "/etc/cerebrum/monitoring/keys"


def digests(watcher: Node) -> dict[str, str]:
    """SHA-256 of the keys that Prometheus has, by whom it asks with them."""
    lines = watcher.host.check_output(f"cd {KEYS} && sha256sum *").splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def admitted(pi: Node, vps: Node, watcher: str) -> dict[str, str]:
    """Digests that services admit for Prometheus on a host, and one alone for each."""
    found = {}
    for node, file, name in ((pi, "edge/client_keys", "edge.pi"), (vps, "inference/api_keys", "inference.vps")):
        rows = [line.split() for line in node.host.file(f"/etc/cerebrum/{file}").content_string.splitlines()]
        own = [row for row in rows if row[0].startswith("prometheus.")]
        assert [row[0].rpartition(".")[0] for row in own] == [f"prometheus.{watcher}"]
        found[name] = own[0][1]
    return found


def test_rotation_gives_prometheus_other_keys_with_which_it_is_answered(pi: Node, vps: Node) -> None:
    before = digests(pi)
    done = play(book="playbooks/rotate_keys.yml")
    assert done.returncode == 0, done.stdout[-4000:]
    after = digests(pi)
    assert not set(before.values()) & set(after.values())
    assert admitted(pi, vps, "pi") == after
    until(lambda: answering(pi, targets("pi")), "all that is asked", seconds=60)
    assert value(pi, "min_over_time(up{job=~'edge|inference'}[2m])") == {"pi": 1, "vps": 1}, "nobody refused meanwhile"


def test_it_moves_to_a_host_of_its_own(pi: Node, vps: Node, watch: Node) -> None:
    done = play("-i", str(MOVED), book="site.yml")
    assert done.returncode == 0, done.stdout[-4000:]
    until(lambda: answering(watch, targets("watch")), "all that is asked", seconds=60)
    until(lambda: value(watch, "cerebrum_probe_success") == {"watch": 1}, "a probe that had its token", seconds=90)
    assert admitted(pi, vps, "watch") == digests(watch)
    for node in (pi, vps):
        rules = node.host.check_output("nft list table inet cerebrum").splitlines()
        exporter = [rule for rule in rules if "dport 9100" in rule]
        assert exporter
        assert all(watch.address in rule or watch.address6 in rule for rule in exporter), exporter
    assert pi.host.run("pgrep -l '^prometheus$|alertmanager'").stdout == ""
    assert pi.host.run(f"ls -d {KEYS} /var/lib/cerebrum/prometheus /etc/cerebrum/prometheus").stdout == ""


def test_again_it_changes_nothing(watch: Node) -> None:
    done = play("-i", str(MOVED), book="site.yml")
    assert done.returncode == 0, done.stdout[-4000:]
    assert done.stdout.count("changed=0") == 3, done.stdout[-1000:]


def test_it_moves_back(pi: Node, vps: Node, watch: Node) -> None:
    """Hosts that are in no group any more are not reached: their keys are dropped, and what is there stays."""
    done = play(book="site.yml")
    assert done.returncode == 0, done.stdout[-4000:]
    until(lambda: answering(pi, targets("pi")), "all that is asked", seconds=60)
    assert admitted(pi, vps, "pi") == digests(pi)
