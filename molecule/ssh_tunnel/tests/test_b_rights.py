"""The tunnel's key, in the hands of somebody who took it from the Pi: one port of one host, and nothing else."""

from __future__ import annotations

import pytest
from testinfra.backend.base import CommandResult

from nodes import Node

OPTIONS = (
    "-F /dev/null -i /etc/cerebrum/tunnel/key -o IdentitiesOnly=yes -o BatchMode=yes -o ExitOnForwardFailure=yes"
    " -o HostKeyAlias=vps -o UserKnownHostsFile=/etc/cerebrum/tunnel/vps.known_hosts -o ConnectTimeout=10"
)
REQUEST = r"printf 'GET /health HTTP/1.0\r\nHost: 127.0.0.1:9000\r\n\r\n'"


def ssh(pi: Node, vps: Node, words: str, before: str = "true", user: str = "cerebrum-tunnel") -> CommandResult:
    # The outer ssh would say 255 for a failure of its own: the inner one's code must not look like that.
    return pi.host.run(f"{before} | timeout 20 ssh {OPTIONS} {user}@{vps.address} {words} || exit 1")


def test_the_service_s_port_is_reached(pi: Node, vps: Node) -> None:
    """What makes the refusals below mean something: with the same options, what is allowed works."""
    done = ssh(pi, vps, "-W 127.0.0.1:9000", REQUEST)
    assert done.stdout.startswith("HTTP/1.1 200"), done.stderr


@pytest.mark.parametrize("words", ["id", "-tt", "-A id", "-s sftp", "-X id"])
def test_no_shell_no_command_no_terminal_no_agent(pi: Node, vps: Node, words: str) -> None:
    done = ssh(pi, vps, words)
    assert done.rc == 1
    assert done.stdout == ""
    assert "open failed" in done.stderr


@pytest.mark.parametrize("target", ["127.0.0.1:22", "[::1]:9000", "localhost:9000", "ADDRESS:22", "ADDRESS:9000"])
def test_no_other_port_and_no_other_host(pi: Node, vps: Node, target: str) -> None:
    done = ssh(pi, vps, f"-W {target.replace('ADDRESS', vps.address)}", REQUEST)
    assert done.stdout == ""
    assert "administratively prohibited" in done.stderr


@pytest.mark.parametrize(
    "back", ["127.0.0.1:9999:127.0.0.1:7000", "0.0.0.0:9999:127.0.0.1:7000", "/run/lock/back:127.0.0.1:7000"]
)
def test_nothing_is_opened_on_the_inference_host(pi: Node, vps: Node, back: str) -> None:
    done = ssh(pi, vps, f"-N -R {back}")
    assert done.rc == 1
    assert "forwarding failed" in done.stderr


def test_nobody_else_is_let_in_by_the_key(pi: Node, vps: Node) -> None:
    assert "Permission denied" in ssh(pi, vps, "id", user="root").stderr


def test_sshd_and_the_key_each_refuse_by_themselves(vps: Node) -> None:
    """Each of the two holds when the other one is lost."""
    (line,) = vps.host.check_output("grep -v '^#' /etc/cerebrum/tunnel/authorized_keys").splitlines()
    assert line.split(" ", 1)[0] == 'restrict,port-forwarding,permitopen="127.0.0.1:9000"'
    view = vps.host.check_output("sshd -T -C user=cerebrum-tunnel,host=pi,addr=192.0.2.1,laddr=192.0.2.2,lport=22")
    wanted = {
        "allowtcpforwarding local",
        "permitopen 127.0.0.1:9000",
        "maxsessions 0",
        "permittty no",
        "permitlisten none",
    }
    assert wanted <= set(view.splitlines())


def test_others_are_treated_as_before(vps: Node) -> None:
    view = vps.host.check_output("sshd -T -C user=root,host=pi,addr=192.0.2.1,laddr=192.0.2.2,lport=22").splitlines()
    assert "forcecommand none" in view
    assert "maxsessions 0" not in view
