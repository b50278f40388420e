"""Hosts of a lab are Debian machines of their own: they run, reach each other and the mirror, and nothing more."""

from __future__ import annotations

import pytest

from nodes import Node


def test_host_runs_debian_with_its_own_systemd(each: Node) -> None:
    assert each.host.check_output("systemctl is-system-running") == "running"
    assert each.host.system_info.distribution == "debian"
    assert each.host.system_info.codename == "bookworm"


def test_hosts_are_apart(pi: Node, vps: Node) -> None:
    for question in ("hostname", "cat /etc/machine-id", "cat /etc/ssh/ssh_host_ed25519_key.pub"):
        assert pi.host.check_output(question) != vps.host.check_output(question)


def test_host_sees_its_own_processes_in_its_units(each: Node) -> None:
    """In a shared cgroup a unit holds the neighbour's processes too: systemd cannot read them, and some starts fail."""
    status = each.host.run("systemctl status --no-pager ssh")
    assert status.rc == 0
    assert status.stderr == ""
    assert "sshd" in status.stdout.partition("CGroup:")[2]


@pytest.mark.parametrize("family", ["address", "address6"])
def test_hosts_reach_each_other(pi: Node, vps: Node, family: str) -> None:
    probe = f"python3 -c \"import socket; socket.create_connection(('{getattr(vps, family)}', 22), 5)\""
    assert pi.host.run(probe).rc == 0


def test_hosts_reach_the_mirror(each: Node) -> None:
    assert each.host.run("apt-get update -qq").rc == 0
