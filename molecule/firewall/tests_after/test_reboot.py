"""The rules were there before the network was, and are the confirmed ones."""

from __future__ import annotations

from nodes import Node


def test_rules_came_before_the_network(pi: Node) -> None:
    def entered(unit: str) -> int:
        stamp = pi.host.check_output(f"systemctl show --property=ActiveEnterTimestampMonotonic --value {unit}")
        return int(stamp)

    assert 0 < entered("cerebrum-firewall.service") <= entered("network-pre.target") <= entered("ssh.service")


def test_rules_are_the_confirmed_ones(pi: Node) -> None:
    assert "8123" in pi.host.check_output("nft list table inet cerebrum")
