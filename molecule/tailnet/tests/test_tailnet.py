"""Who reaches whom: over the tailnet what its policy allows, by the hosts' own addresses nobody."""

from __future__ import annotations

import json
import socket
from typing import Any

import httpx
import pytest

from nodes import Node

CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)"


def status(one: Node) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(one.host.check_output("tailscale status --json"))
    return found


def address(one: Node) -> str:
    return str(one.host.check_output("tailscale ip -4"))


def reaches(one: Node, target: str, port: int) -> bool:
    return bool(one.host.run(f"python3 -c '{CONNECT}' {target} {port}").rc == 0)


def test_hosts_are_in_the_tailnet_with_the_keys_tags(member: Node) -> None:
    own = status(member)
    assert own["BackendState"] == "Running"
    assert own["Self"]["HostName"] == member.host.check_output("hostname")
    assert own["Self"]["Tags"] == [f"tag:{member.service}"]
    assert address(member).startswith("100.64.")


@pytest.mark.parametrize("name", ["vps", "cloud"])
def test_tokens_stream_over_the_tailnet(name: str, pi: Node, request: pytest.FixtureRequest) -> None:
    inference: Node = request.getfixturevalue(name)
    key = pi.host.check_output(f"cat /etc/cerebrum/edge/keys/{name}")
    url = f"http://{address(inference)}:9000/v1/inference/stream"
    body = json.dumps({"prompt": "def fibonacci(n):", "max_tokens": 16, "temperature": 0})
    ask = (
        "import sys, urllib.request as r; "
        "sys.stdout.buffer.write(r.urlopen(r.Request(sys.argv[1], sys.argv[2].encode(), "
        '{"content-type": "application/json", "x-api-key": sys.argv[3]}), timeout=60).read())'
    )
    lines = pi.host.check_output(f"python3 -c '{ask}' '{url}' '{body}' '{key}'").splitlines()
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert events[-1]["done"] is True
    assert events[-1]["total_tokens"] == 16


def test_edge_streams_from_an_address_of_the_tailnet(pi: Node, vps: Node, cloud: Node) -> None:
    with httpx.stream(
        "POST",
        f"{pi.url}/v1/complete/stream",
        json={"prompt": "def fibonacci(n):", "max_tokens": 24, "temperature": 0},
        headers={"x-request-id": "tailnet-stream"},
        timeout=60,
        trust_env=False,
    ) as response:
        lines = [line for line in response.iter_lines() if line.startswith("data: ")]
    assert json.loads(lines[-1].removeprefix("data: "))["total_tokens"] == 24
    assert any(one.journal("tailnet-stream", "/v1/inference/stream") for one in (vps, cloud))


def test_inference_listens_where_only_the_tailnet_comes_in(vps: Node, cloud: Node) -> None:
    for one, expected in ((vps, address(vps)), (cloud, "127.0.0.1")):
        listed = one.host.check_output("ss --listening --tcp --numeric --no-header 'sport = 9000'").splitlines()
        assert [line.split()[3] for line in listed] == [f"{expected}:9000"]


@pytest.mark.parametrize("name", ["vps", "cloud"])
def test_inference_is_not_reached_by_the_hosts_own_address(
    name: str, pi: Node, hub: Node, request: pytest.FixtureRequest
) -> None:
    inference: Node = request.getfixturevalue(name)
    assert not reaches(pi, inference.address, 9000)
    assert not reaches(hub, inference.address, 9000)
    with pytest.raises(TimeoutError):  # the firewall's silence
        socket.create_connection((inference.address, 9000), 3)


def test_neighbour_cannot_send_to_the_tailnet_address(vps: Node, hub: Node) -> None:
    """A host takes packets for any of its addresses from any of its interfaces: binding to one keeps nobody out."""
    hub.host.check_output(f"ip route add {address(vps)} via {vps.address}")
    try:
        assert not reaches(hub, address(vps), 9000)
    finally:
        hub.host.check_output(f"ip route del {address(vps)}")


@pytest.mark.parametrize("name", ["vps", "cloud"])
def test_policy_forbids_every_other_port(name: str, pi: Node, request: pytest.FixtureRequest) -> None:
    """sshd listens on every address of both hosts, and is reached from the pi by the other one."""
    inference: Node = request.getfixturevalue(name)
    assert reaches(pi, inference.address, 22)
    assert reaches(pi, address(inference), 9000)
    assert not reaches(pi, address(inference), 22)


def test_host_without_a_device_runs_in_userspace(vps: Node, cloud: Node) -> None:
    assert status(vps)["TUN"] is True
    assert status(cloud)["TUN"] is False
    assert cloud.host.run("ip link show tailscale0").rc != 0
