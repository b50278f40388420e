"""The new host key was accepted, because somebody said so: requests flow again."""

from __future__ import annotations

from nodes import Node
from tunnel import completes, until


def test_requests_flow_to_the_host_with_the_new_key(pi: Node, vps: Node) -> None:
    own = vps.host.file("/etc/ssh/ssh_host_ed25519_key.pub").content_string.split()
    pinned = pi.host.file("/etc/cerebrum/tunnel/vps.known_hosts").content_string
    assert f"vps {own[0]} {own[1]}\n" in pinned
    until(lambda: completes(pi), "a completion")
