"""Two inference hosts behind one edge. Each dies while clients ask: its service by itself, then the whole host."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from fleet import Clients, Lab, metric, that_streams, work
from nodes import Node
from plays import play
from support.waiting import eventually

# Plays and boots take as long as the machine needs; a test that hangs is what this is for.
pytestmark = pytest.mark.timeout(900)
THREE = Path(__file__).parents[1] / "three.ini"


def shares(pi: Node, *hosts: tuple[str, Node]) -> dict[str, float]:
    return {name: work(pi, host, name) for name, host in hosts}


def grow(pi: Node, clients: Clients, *hosts: tuple[str, Node]) -> None:
    """Each of the hosts answers some of the requests that come now."""
    before = shares(pi, *hosts)

    def all_grew() -> bool:
        clients.more()
        now = shares(pi, *hosts)
        return all(now[name] > before[name] + 2 for name in before)

    eventually(all_grew, f"a share for each of {list(before)}", seconds=120)


def test_both_hosts_have_their_share(pi: Node, vps1: Node, vps2: Node) -> None:
    with Clients(pi.url) as clients:
        grow(pi, clients, ("vps1", vps1), ("vps2", vps2))
    assert clients.failures == []


def test_streams_outlive_the_service_of_one_host(pi: Node, vps1: Node, vps2: Node) -> None:
    with Clients(pi.url) as clients:
        for host in (vps1, vps2):
            before = clients.resumed
            host.host.check_output(f"systemctl kill --kill-who=main --signal=SIGKILL {host.instance()}")
            clients.until_resumed(before)
            clients.more()
            grow(pi, clients, ("vps1", vps1), ("vps2", vps2))
    assert clients.failures == []


def test_streams_outlive_a_host_that_is_gone_without_a_word_and_it_comes_back(
    pi: Node, vps1: Node, vps2: Node, lab: Lab
) -> None:
    hosts = ("vps1", vps1), ("vps2", vps2)
    with Clients(pi.url) as clients:
        resumed = clients.resumed
        busy = that_streams(pi, *hosts)
        lab.kill(busy)
        clients.until_resumed(resumed)
        clients.more(streams=10, shorts=10)
        text = httpx.get(f"{pi.url}/metrics", trust_env=False).text
        assert metric(text, rf'cerebrum_edge_backend_up\{{backend="{busy}"\}}') == 0
        lab.revive(busy)
        grow(pi, clients, *hosts)
    assert clients.failures == []


def test_third_host_joins_and_nothing_is_lost(pi: Node, vps1: Node, vps2: Node, vps3: Node) -> None:
    with Clients(pi.url, gentle=True) as clients:
        done = play("site.yml", "-i", str(THREE))
        assert done.returncode == 0, done.stdout[-4000:]
    assert clients.failures == []
    # Two clients stay where their beginnings are computed; more of them need the new host.
    with Clients(pi.url) as clients:
        grow(pi, clients, ("vps1", vps1), ("vps2", vps2), ("vps3", vps3))
    assert clients.failures == []
