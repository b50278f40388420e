"""Who gets in, tried by a host that is no part of Cerebrum."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from nodes import Node

# How a connection goes that somebody tries. Nothing that the rules drop is answered, not by a refusal either.
TRY = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 2, (sys.argv[3], 0) if sys.argv[3:] else None)
    print("open")
except TimeoutError:
    print("silence")
except ConnectionRefusedError:
    print("refused")
"""
# One echo request; its answer has to come within five seconds.
PING = """
import socket, struct, sys
six = ":" in sys.argv[1]
wire = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_RAW, 58 if six else 1)
wire.settimeout(5)
asks, answers, header = (128, 129, 0) if six else (8, 0, 20)
wire.sendto(struct.pack("!BBHHH", asks, 0, 0xFFFF - (asks << 8), 0, 0), (sys.argv[1], 0))
while True:
    data, peer = wire.recvfrom(2000)
    if peer[0] == sys.argv[1] and data[header] == answers:
        break
"""
# Sends back what comes.
ECHO = """
import os, socket, sys, threading
server = socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True)
if os.fork():
    os._exit(0)
def echo(stream):
    while data := stream.recv(4096):
        stream.sendall(data)
while True:
    threading.Thread(target=echo, args=(server.accept()[0],), daemon=True).start()
"""
PUBLIC = {"address": "203.0.113.9", "address6": "2001:db8::9"}
FAMILIES = pytest.mark.parametrize("family", ["address", "address6"])


def reach(one: Node, address: str, port: int, source: str = "") -> str:
    return str(one.host.check_output(f"python3 -c '{TRY}' {address} {port} {source}"))


@contextmanager
def listening(one: Node, port: int) -> Iterator[None]:
    """A service on every address of the host. Its start is over when it listens."""
    unit = f"listener-{port}"
    one.host.check_output(
        f"systemd-run --quiet --collect --unit={unit} --property=Type=forking python3 -c '{ECHO}' {port}"
    )
    try:
        assert reach(one, "127.0.0.1", port) == "open"
        yield
    finally:
        one.host.check_output(f"systemctl stop {unit}")


@pytest.fixture(scope="module", params=["address", "address6"])
def stranger(request: pytest.FixtureRequest, pi: Node, outside: Node) -> Iterator[tuple[str, str]]:
    """A public address that `outside` has as well, known to the Pi as a neighbour: the family, and the address."""
    family = str(request.param)
    address, bits = PUBLIC[family], 32 if family == "address" else 128
    outside.host.check_output(f"ip addr replace {address}/{bits} dev host0 nodad")
    pi.host.check_output(f"ip route replace {address} dev host0")
    yield family, address
    outside.host.check_output(f"ip addr del {address}/{bits} dev host0")
    pi.host.check_output(f"ip route del {address} dev host0")


@FAMILIES
@pytest.mark.parametrize("name", ["pi", "vps"])
def test_ssh_and_ping_are_let_in(request: pytest.FixtureRequest, outside: Node, name: str, family: str) -> None:
    address = getattr(request.getfixturevalue(name), family)
    assert reach(outside, address, 22) == "open"
    outside.host.check_output(f"python3 -c '{PING}' {address}")


def test_edge_is_for_private_networks(pi: Node, outside: Node) -> None:
    assert reach(outside, pi.address, 7000) == "open"


def test_edge_is_not_for_the_internet(pi: Node, outside: Node, stranger: tuple[str, str]) -> None:
    family, address = stranger
    assert reach(outside, getattr(pi, family), 22, address) == "open", "the stranger is heard at all"
    if family == "address":
        assert reach(outside, pi.address, 7000, address) == "silence"
    else:
        with listening(pi, 8123):  # the edge itself listens on IPv4 only
            assert reach(outside, pi.address6, 8123, address) == "open"
        assert reach(outside, pi.address6, 7000, address) == "silence"
        assert reach(outside, pi.address6, 7000) == "refused", "let in, and nobody there"


def test_inference_is_for_the_edge_alone(pi: Node, vps: Node, outside: Node) -> None:
    assert reach(pi, vps.address, 9000) == "open"
    assert reach(outside, vps.address, 9000) == "silence"
    assert reach(pi, vps.address6, 9000) == "refused", "let in; the service listens on its IPv4 address"
    assert reach(outside, vps.address6, 9000) == "silence"


@FAMILIES
def test_other_ports_are_silent_whether_somebody_listens_or_not(pi: Node, outside: Node, family: str) -> None:
    address = getattr(pi, family)
    with listening(pi, 8124):
        assert reach(outside, address, 8124) == "silence"
    assert reach(outside, address, 8125) == "silence"


@FAMILIES
def test_own_services_are_let_in_where_it_is_said(pi: Node, vps: Node, outside: Node, family: str) -> None:
    with listening(pi, 8123):
        assert reach(outside, getattr(pi, family), 8123) == "open"
    with listening(vps, 8123):
        assert reach(outside, getattr(vps, family), 8123) == "silence", "the VPS was told of no such thing"


def test_dropped_packets_are_counted(pi: Node, outside: Node) -> None:
    def dropped() -> int:
        (line,) = [line for line in rules(pi).splitlines() if 'comment "dropped"' in line]
        return int(line.split()[2])

    before = dropped()
    assert reach(outside, pi.address, 8125) == "silence"
    assert dropped() > before


def rules(one: Node, *options: str) -> str:
    return str(one.host.check_output(f"nft {' '.join(options)} list table inet cerebrum"))


def test_connections_outlive_other_rules(pi: Node, outside: Node) -> None:
    shut = "sed '/8123/d' /etc/cerebrum/firewall/rules.nft | nft -f -"
    with listening(pi, 8123), socket.create_connection((pi.address, 8123), 10) as stream:

        def talk(word: bytes) -> None:
            stream.sendall(word)
            assert stream.recv(len(word), socket.MSG_WAITALL) == word

        talk(b"before")
        pi.host.check_output(shut)
        try:
            assert reach(outside, pi.address, 8123) == "silence"
            talk(b"while its port is shut")
        finally:
            pi.host.check_output("systemctl reload cerebrum-firewall.service")
        assert reach(outside, pi.address, 8123) == "open"
        talk(b"after")
