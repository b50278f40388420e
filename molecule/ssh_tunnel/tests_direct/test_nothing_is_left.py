"""The site was told to go without the tunnel: it serves, and the tunnel has left nothing."""

from __future__ import annotations

import pytest

from nodes import Node
from tunnel import completes

LEFT = (
    "ls -d /etc/cerebrum/tunnel /etc/ssh/sshd_config.d/10-cerebrum-tunnel.conf /etc/systemd/system/cerebrum-tunnel@*"
    " /etc/systemd/system/*/cerebrum-tunnel@* 2>/dev/null; getent passwd cerebrum-tunnel; getent group cerebrum-tunnel;"
    " pgrep --full --list-full 'cerebrum-tunnel'"
)


def test_requests_go_directly(pi: Node, vps: Node) -> None:
    assert completes(pi)
    assert f'"url": "http://{vps.address}:9000"' in pi.host.check_output("cat /etc/cerebrum/edge/*.env")


@pytest.mark.parametrize("name", ["pi", "vps"])
def test_nothing_of_the_tunnel_is_left(pi: Node, vps: Node, name: str) -> None:
    found = {"pi": pi, "vps": vps}[name].host.run(LEFT).stdout.splitlines()
    assert [line for line in found if "pgrep" not in line] == []
