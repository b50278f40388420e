"""Whatever ends the tunnel, it comes back by itself, and so do streams."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from nodes import Node
from tunnel import BODY, completes, shown, stream, until

FAULTS = 10


def kill_ssh(pi: Node, vps: Node) -> None:
    pi.host.check_output("systemctl kill --kill-who=main --signal=SIGKILL cerebrum-tunnel@vps.service")


def kill_session(pi: Node, vps: Node) -> None:
    vps.host.check_output("pkill --signal KILL --uid cerebrum-tunnel")


def ends_and_comes_back(pi: Node, vps: Node, fault: Callable[[Node, Node], None]) -> None:
    process = shown(pi, "MainPID")
    fault(pi, vps)
    until(lambda: shown(pi, "MainPID") not in {process, "0"} and shown(pi, "ActiveState") == "active", "a new tunnel")


def at_least(answers: list[list[dict[str, Any]]], count: int) -> bool:
    return len(answers) >= count


@pytest.mark.parametrize("fault", [kill_ssh, kill_session])
def test_streams_outlive_the_tunnel(pi: Node, vps: Node, fault: Callable[[Node, Node], None]) -> None:
    over, answers = threading.Event(), list[list[dict[str, Any]]]()

    def ask() -> None:
        while not over.is_set():
            answers.extend(events for events in [stream(pi)] if events)

    clients = [threading.Thread(target=ask) for _ in range(2)]
    for client in clients:
        client.start()
    try:
        until(lambda: len(answers) >= 1, "an answer before the fault")
        for _ in range(FAULTS):  # one may fall between two streams, or before the first word of one
            seen = len(answers)
            ends_and_comes_back(pi, vps, fault)
            more = seen + len(clients) + 1
            until(partial(at_least, answers, more), "the answers that the fault met")
            if any(events[-1].get("resumed") for events in answers):
                break
    finally:
        over.set()
        for client in clients:
            client.join(120)
    assert any(events[-1].get("resumed") for events in answers), "a stream that was taken up again"
    for events in answers:
        assert events[-1]["done"] is True
        assert "error" not in events[-1]
        assert events[-1]["total_tokens"] == BODY["max_tokens"]


def test_hardened_sshd_lets_the_tunnel_through(pi: Node, vps: Node) -> None:
    """AllowTcpForwarding no for everybody, which is what hardening guides say."""
    file = "/etc/ssh/sshd_config.d/00-forwards-nothing.conf"
    vps.host.check_output(f"echo 'AllowTcpForwarding no' > {file} && systemctl reload ssh.service")
    try:
        ends_and_comes_back(pi, vps, kill_session)
        until(lambda: completes(pi), "a completion")
    finally:
        vps.host.check_output(f"rm {file} && systemctl reload ssh.service")
        until(lambda: vps.host.run("true").rc == 0, "sshd, which listens anew when it is told to reload")


@pytest.mark.parametrize("name", ["vps", "pi"])
def test_tunnel_comes_back_after_a_reboot(pi: Node, vps: Node, name: str) -> None:
    rebooted = {"pi": pi, "vps": vps}[name]
    started = rebooted.host.check_output("systemctl show --property=UserspaceTimestampMonotonic --value")
    with contextlib.suppress(RuntimeError):  # ssh says 255 where the host ends before it has answered
        rebooted.host.run("systemctl reboot")

    def is_back() -> bool:
        again = rebooted.host.check_output("systemctl show --property=UserspaceTimestampMonotonic --value")
        return bool(again != started and rebooted.host.check_output("systemctl is-system-running --wait") == "running")

    until(is_back, "a host that has started again")
    until(lambda: shown(pi, "ActiveState") == "active" and shown(pi, "StatusText") != "", "a tunnel")
    until(lambda: completes(pi), "a completion")
    last = stream(pi)[-1]
    assert last["done"] is True
    assert last["total_tokens"] == BODY["max_tokens"]
