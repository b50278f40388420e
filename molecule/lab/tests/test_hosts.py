"""Hosts of a lab are Debian machines of their own: they run, reach each other and the mirror, and nothing more."""

from __future__ import annotations

from nodes import Node


def test_host_runs_debian_with_its_own_systemd(each: Node) -> None:
    assert each.host.check_output("systemctl is-system-running") == "running"
    assert each.host.system_info.distribution == "debian"
    assert each.host.system_info.codename == "bookworm"


def test_hosts_are_apart(pi: Node, vps: Node) -> None:
    for question in ("hostname", "cat /etc/machine-id", "cat /etc/ssh/ssh_host_ed25519_key.pub"):
        assert pi.host.check_output(question) != vps.host.check_output(question)


def test_stopping_a_unit_spares_the_neighbours_unit_of_that_name(pi: Node, vps: Node) -> None:
    """With a shared cgroup, systemd here would kill the processes that run there under the same unit's name."""
    for one in (pi, vps):
        assert one.host.run("systemd-run --quiet --unit=marker sleep 600").rc == 0
    try:
        assert vps.host.run("systemctl stop marker").rc == 0
        assert pi.host.check_output("systemctl is-active marker") == "active"
        assert pi.host.run("pgrep -x sleep").rc == 0
    finally:
        pi.host.run("systemctl stop marker")


def test_hosts_reach_each_other(pi: Node, vps: Node) -> None:
    probe = f"python3 -c \"import socket; socket.create_connection(('{vps.address}', 22), 5)\""
    assert pi.host.run(probe).rc == 0


def test_hosts_reach_the_mirror(each: Node) -> None:
    assert each.host.run("apt-get update -qq").rc == 0
