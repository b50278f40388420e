"""Requests go from the edge through the tunnel to an inference service that nobody else reaches."""

from __future__ import annotations

import httpx
import pytest

from nodes import Node
from tunnel import BODY, UNIT, completes, shown, stream


def test_completion_and_stream_go_through_the_tunnel(pi: Node, vps: Node) -> None:
    backends = pi.host.check_output("cat /etc/cerebrum/edge/*.env")
    assert '"url": "http://127.0.0.1:9000"' in backends
    assert completes(pi)
    last = stream(pi)[-1]
    assert last["done"] is True
    assert last["total_tokens"] == BODY["max_tokens"]


def test_only_the_hosts_themselves_reach_either_end(pi: Node, vps: Node) -> None:
    for host, program in ((pi, "ssh"), (vps, "cerebrum-infere")):
        listening = host.host.check_output("ss --tcp --listening --numeric --no-header --processes 'sport = :9000'")
        assert [line.split()[3] for line in listening.splitlines()] == ["127.0.0.1:9000"]
        assert f'"{program}"' in listening
        # The firewall drops it; without one nobody would listen there.
        with pytest.raises((httpx.ConnectError, httpx.ConnectTimeout)):
            httpx.get(f"http://{host.address}:9000/health", timeout=2, trust_env=False)
    there = f"import socket; socket.create_connection(('{vps.address}', 9000), 5)"
    refused = pi.host.run(f'python3 -c "{there}"')
    assert "ConnectionRefusedError" in refused.stderr or "TimeoutError" in refused.stderr


def test_unit_says_where_it_leads_and_is_sandboxed(pi: Node) -> None:
    assert shown(pi, "ActiveState") == "active"
    assert shown(pi, "StatusText").startswith("127.0.0.1:9000 leads to 127.0.0.1:9000 on vps [")
    assert pi.host.check_output(f"systemctl is-enabled {UNIT}") == "enabled"
    done = pi.host.run(f"systemd-analyze security --no-pager --threshold=12 {UNIT}")
    assert done.rc == 0, done.stdout


def test_process_has_a_user_of_its_own(pi: Node, vps: Node) -> None:
    user = pi.host.user("cerebrum-tunnel")
    assert user.shell == "/usr/sbin/nologin"
    status = pi.host.check_output(f"cat /proc/{shown(pi, 'MainPID')}/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split() == [str(user.uid)] * 4
    assert int(fields["CapEff"], 16) == 0
    assert fields["NoNewPrivs"] == "1"
    assert vps.host.user("cerebrum-tunnel").shell == "/usr/sbin/nologin"


def test_private_key_is_root_s_and_on_the_edge_alone(pi: Node, vps: Node) -> None:
    key = pi.host.file("/etc/cerebrum/tunnel/key")
    assert (key.user, key.group, key.mode) == ("root", "root", 0o600)
    assert "PRIVATE KEY" in key.content_string
    assert vps.host.check_output("ls /etc/cerebrum/tunnel") == "authorized_keys"


def test_keys_of_both_sides_are_each_other_s(pi: Node, vps: Node) -> None:
    public = pi.host.file("/etc/cerebrum/tunnel/key.pub").content_string.strip()
    admitted = vps.host.file("/etc/cerebrum/tunnel/authorized_keys")
    assert (admitted.user, admitted.mode) == ("root", 0o644)
    (line,) = [line for line in admitted.content_string.splitlines() if not line.startswith("#")]
    assert line == f'restrict,port-forwarding,permitopen="127.0.0.1:9000" {public}'
    pinned = pi.host.file("/etc/cerebrum/tunnel/vps.known_hosts").content_string
    own = vps.host.file("/etc/ssh/ssh_host_ed25519_key.pub").content_string.split()
    assert f"vps {own[0]} {own[1]}\n" in pinned
