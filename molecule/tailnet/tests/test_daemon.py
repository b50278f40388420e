"""The daemon's version, its sandbox, and that the key which let the host in is nowhere."""

from __future__ import annotations

import os
from pathlib import Path

from nodes import Node

# As `systemd-analyze security` counts, times ten. The unit as it is shipped has 96 on Debian 12.
TUN, USERSPACE = 21, 16


def made() -> Path:
    return Path(Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], "packages").read_text(encoding="utf-8").strip())


def test_version_is_the_pinned_one_and_held(member: Node) -> None:
    """The repository offers a newer one."""
    package = member.host.check_output("dpkg-query --show --showformat '${db:Status-Want} ${Version}' tailscale")
    offered = member.host.check_output("apt-cache madison tailscale")
    want, version = package.split()
    assert want == "hold"
    assert version == wanted_version(member)
    assert "+newer" in offered
    assert member.host.run("apt-get --simulate upgrade").stdout.count("Inst tailscale") == 0


def wanted_version(member: Node) -> str:
    pinned = (made() / "version").read_text(encoding="utf-8").strip()
    upgraded = member.host.file("/root/upgraded").exists
    return f"{pinned}+newer" if upgraded else pinned


def test_daemon_runs_in_its_sandbox(member: Node, cloud: Node) -> None:
    limit = USERSPACE if member is cloud else TUN
    done = member.host.run(f"systemd-analyze security --no-pager --threshold={limit} tailscaled.service")
    assert done.rc == 0, done.stdout[-300:]
    pid = member.host.check_output("systemctl show --property=MainPID --value tailscaled")
    own = member.host.file(f"/proc/{pid}/status").content_string
    assert "NoNewPrivs:\t1" in own
    assert "Seccomp:\t2" in own


def test_sandbox_takes_nothing_that_the_daemon_needs(pi: Node, vps: Node) -> None:
    """In userspace it may not touch the host's network, and says so when it looks for something to clean up."""
    for one in (pi, vps):
        journal = one.host.check_output("journalctl --boot --unit=tailscaled --no-pager --output=cat")
        refused = [line for line in journal.splitlines() if "not permitted" in line or "ermission denied" in line]
        assert refused == []


def test_daemon_keeps_its_log_to_itself(member: Node) -> None:
    environment = member.host.check_output("systemctl show --property=Environment --value tailscaled")
    assert "TS_NO_LOGS_NO_SUPPORT=true" in environment
    pid = member.host.check_output("systemctl show --property=MainPID --value tailscaled")
    journal = member.host.check_output(f"journalctl _PID={pid} --no-pager --output=cat")
    assert "log.tailscale.com" not in journal


def test_host_is_as_healthy_as_a_host_can_be(member: Node) -> None:
    assert member.host.check_output("systemctl is-system-running") == "running"
    assert member.host.service("tailscaled").is_enabled


def test_key_is_nowhere(member: Node) -> None:
    """Not in the journal, which has the modules' arguments, not with a process, and in no file."""
    keys = [path.read_text(encoding="utf-8").strip() for path in made_keys()]
    assert not member.host.file("/run/cerebrum-tailscale").exists
    for key in keys:
        # The pattern's first character in brackets: the search does not find itself.
        pattern = f"[{key[0]}]{key[1:]}"
        assert member.host.run(f"journalctl --no-pager | grep -c '{pattern}'").stdout.strip() == "0"
        assert member.host.run(f"grep -la '{pattern}' /proc/[0-9]*/cmdline /proc/[0-9]*/environ").stdout == ""
        assert member.host.run(f"grep -rla '{pattern}' /run /tmp /root /etc /var/lib/tailscale").stdout == ""


def made_keys() -> list[Path]:
    found = sorted(Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]).glob("used-key-*"))
    assert found
    return found
