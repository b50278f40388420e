"""What role base changes on a host, seen from outside where it can be: by ssh clients, by plays that are refused."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from testinfra.backend.base import CommandResult

from nodes import Node
from plays import start

SSHD = "/etc/ssh/sshd_config.d"
PROBE = "cerebrum-probe"


def ssh(node: Node, *options: str) -> str:
    """What the ssh client says that comes in with these options and without the lab's key."""
    command = ["ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"]
    command += ["-o", "UserKnownHostsFile=/dev/null", "-o", "IdentityFile=none", "-o", "IdentityAgent=none"]
    for option in options:
        command += ["-o", option]
    done = subprocess.run([*command, f"root@{node.address}", "true"], capture_output=True, text=True, check=False)
    return done.stderr


def test_passwords_are_not_even_offered(each: Node) -> None:
    said = ssh(each, "PubkeyAuthentication=no", "PreferredAuthentications=password,keyboard-interactive")
    assert "Permission denied (publickey)." in said


@pytest.mark.parametrize(
    ("option", "answer"),
    [
        (("KexAlgorithms=curve25519-sha256",), "Permission denied"),
        (("KexAlgorithms=ecdh-sha2-nistp256",), "no matching key exchange method found"),
        (("KexAlgorithms=diffie-hellman-group14-sha256",), "no matching key exchange method found"),
        (("Ciphers=aes256-ctr", "MACs=hmac-sha2-256-etm@openssh.com"), "Permission denied"),
        (("Ciphers=aes256-ctr", "MACs=hmac-sha1"), "no matching MAC found"),
        (("Ciphers=aes256-ctr", "MACs=hmac-sha2-256"), "no matching MAC found"),
        (("Ciphers=aes128-cbc",), "no matching cipher found"),
        (("HostKeyAlgorithms=ssh-ed25519",), "Permission denied"),
        (("HostKeyAlgorithms=ecdsa-sha2-nistp256",), "no matching host key type found"),
    ],
)
def test_weak_crypto_is_refused_to_a_client_that_has_nothing_else(
    pi: Node, option: tuple[str, ...], answer: str
) -> None:
    assert answer in ssh(pi, *option)


def test_a_login_forwards_nothing(pi: Node) -> None:
    key = str(pi.host.ansible.get_variables()["ansible_private_key_file"])
    command = ["ssh", "-F", "none", "-i", key, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"]
    command += ["-o", "UserKnownHostsFile=/dev/null", "-W", "127.0.0.1:22", f"root@{pi.address}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert "administratively prohibited" in done.stderr
    assert "SSH-2.0" not in done.stdout


def test_sshd_has_what_was_written(each: Node) -> None:
    effective = each.host.check_output("sshd -T").splitlines()
    written = each.host.file(f"{SSHD}/10-cerebrum.conf").content_string.splitlines()
    settings = [line for line in written if line and not line.startswith("#")]
    assert len(settings) == 18
    for line in settings:
        keyword, value = line.split(" ", 1)
        assert f"{keyword.lower()} {value.replace('prohibit-password', 'without-password')}" in effective


@pytest.fixture(scope="module")
def probe(pi: Node) -> Iterator[Node]:
    """A package that is installed as version 1, and a repository on the host's disk that has version 2."""
    script = f"""
        set -e; rm -rf /root/probe; mkdir -p /root/probe/repo
        for version in 1 2; do
            mkdir -p /root/probe/$version/DEBIAN
            printf 'Package: {PROBE}\\nVersion: %s\\nArchitecture: all\\nMaintainer: none\\nDescription: test\\n' \\
                $version > /root/probe/$version/DEBIAN/control
            dpkg-deb --build --root-owner-group /root/probe/$version /root/probe/repo/{PROBE}_$version.deb >/dev/null
        done
        dpkg --install /root/probe/repo/{PROBE}_1.deb >/dev/null
        cd /root/probe/repo
        {{ cat /root/probe/2/DEBIAN/control
           echo "Filename: ./{PROBE}_2.deb"; echo "Size: $(stat -c %s {PROBE}_2.deb)"
           echo "SHA256: $(sha256sum {PROBE}_2.deb | cut -d' ' -f1)"; }} > Packages
        echo 'deb [trusted=yes] copy:/root/probe/repo ./' > /etc/apt/sources.list.d/probe.list
    """
    pi.host.check_output(script)
    yield pi
    pi.host.check_output(
        f"dpkg --purge {PROBE}; rm -rf /root/probe /etc/apt/sources.list.d/probe.list /var/lib/apt/lists/_root_probe*"
    )


@pytest.mark.parametrize(
    ("origin", "label", "codename", "taken"),
    [
        ("Debian", "Debian-Security", "bookworm-security", True),
        ("Debian", "Debian", "bookworm", False),  # a point release
    ],
)
def test_only_debians_security_updates_are_taken(
    probe: Node, origin: str, label: str, codename: str, taken: bool
) -> None:
    release = f"Origin: {origin}\\nLabel: {label}\\nCodename: {codename}\\nSuite: any\\nDate: $(date -Ru)\\n"
    probe.host.check_output(f"""
        cd /root/probe/repo && printf "{release}SHA256:\\n" > Release
        echo " $(sha256sum Packages | cut -d' ' -f1) $(stat -c %s Packages) Packages" >> Release
        apt-get update -qq -o Dir::Etc::sourcelist=sources.list.d/probe.list -o Dir::Etc::sourceparts=- \\
            -o APT::Get::List-Cleanup=0 -o Acquire::AllowReleaseInfoChange=true
    """)
    assert probe.host.package(PROBE).version == "1"
    done = probe.host.run("unattended-upgrade --dry-run --debug 2>&1")
    assert done.rc == 0, done.stdout
    (chosen,) = [line for line in done.stdout.splitlines() if line.startswith("pkgs that look like they should be")]
    assert (PROBE in chosen) is taken, done.stdout
    (allowed,) = [line for line in done.stdout.splitlines() if line.startswith("Allowed origins are")]
    assert allowed == "Allowed origins are: origin=Debian,codename=bookworm-security,label=Debian-Security"


def test_upgrades_come_every_day_and_do_not_reboot(each: Node) -> None:
    settings = each.host.check_output("apt-config dump --format '%f=%v%n'").splitlines()
    assert "APT::Periodic::Unattended-Upgrade=1" in settings
    assert "Unattended-Upgrade::Automatic-Reboot=false" in settings
    for timer in ("apt-daily.timer", "apt-daily-upgrade.timer"):
        assert each.host.service(timer).is_running
        assert each.host.service(timer).is_enabled


def test_journal_is_on_disk_within_its_limit(each: Node) -> None:
    said = each.host.check_output("journalctl --no-pager --output=cat SYSLOG_IDENTIFIER=systemd-journald").splitlines()
    (system,) = {line.partition(", max ")[2].split(",")[0] for line in said[-3:] if line.startswith("System Journal")}
    assert system == "200.0M"
    assert each.host.run("ls /var/log/journal/*/system.journal").rc == 0


def test_neither_services_nor_sessions_may_dump_core(each: Node) -> None:
    limits = each.host.check_output("systemd-run --quiet --wait --pipe cat /proc/self/limits").splitlines()
    (core,) = [line.split() for line in limits if line.startswith("Max core file size")]
    assert core[4:6] == ["0", "0"]
    # A session that begins now: the one that this comes by may be older than the limit.
    assert each.host.check_output("runuser --login root --command 'ulimit -Hc'") == "0"


def reloads(node: Node) -> str:
    return str(node.host.check_output("journalctl --no-pager --output=cat _COMM=sshd | grep -c 'Received SIGHUP'"))


@pytest.fixture(scope="module")
def disturbed(pi: Node, vps: Node, lynis: Future[CommandResult]) -> Iterator[dict[str, tuple[str, str, str]]]:
    """The play on hosts whose administrator has configured sshd: one's does not parse, the other's wants passwords.

    The first one's network settings are made writable as they are on a machine that is no container. A host's row:
    what the play said, and how often sshd was told to reload before and after it.
    """
    lynis.result()  # it looks at sshd as well
    kept = vps.host.file(f"{SSHD}/10-cerebrum.conf").content_string
    pi.host.check_output(f"echo 'PasswordAuthentication perhaps' > {SSHD}/90-local.conf")
    pi.host.check_output("mount --bind /proc/sys/net /proc/sys/net && mount -o remount,bind,rw /proc/sys/net")
    vps.host.check_output(f"echo 'PasswordAuthentication yes' > {SSHD}/00-local.conf; rm {SSHD}/10-cerebrum.conf")
    before = {"pi": reloads(pi), "vps": reloads(vps)}
    try:
        runs = {name: start("playbooks/base.yml", "--limit", name) for name in ("pi", "vps")}
        said = {name: run.communicate()[0] for name, run in runs.items()}
        yield {name: (text, before[name], reloads({"pi": pi, "vps": vps}[name])) for name, text in said.items()}
    finally:
        pi.host.check_output(f"rm {SSHD}/90-local.conf; umount /proc/sys/net; rm -f /etc/sysctl.d/60-cerebrum.conf")
        vps.host.check_output(f"rm {SSHD}/00-local.conf")
        vps.host.check_output(f"printf %s '{kept}' > {SSHD}/10-cerebrum.conf && sshd -t")


def test_sshd_with_a_fault_is_not_reloaded_and_goes_on(pi: Node, disturbed: dict[str, tuple[str, str, str]]) -> None:
    said, before, after = disturbed["pi"]
    assert "failed=1" in said
    assert "has a fault that is not Cerebrum's" in said
    assert "90-local.conf line 1" in said
    assert after == before
    assert "Permission denied (publickey)." in ssh(pi)


def test_another_files_word_is_not_passed_over(vps: Node, disturbed: dict[str, tuple[str, str, str]]) -> None:
    said, before, after = disturbed["vps"]
    assert "failed=1" in said
    assert "Another file decides PasswordAuthentication on vps" in said
    assert "base_sshd_keep" in said
    assert after == before


@pytest.mark.usefixtures("disturbed")
def test_kernel_takes_what_may_be_set(pi: Node) -> None:
    written = pi.host.file("/etc/sysctl.d/60-cerebrum.conf").content_string
    settings = [line for line in written.splitlines() if " = " in line]
    assert any(line.startswith("net.ipv4.conf.*.accept_redirects") for line in settings)
    for line in settings:
        key, value = line.split(" = ")
        values = pi.host.check_output(f"cat /proc/sys/{key.replace('.', '/')}").split()
        assert set(values) == {value}, line
    assert "# kernel.kptr_restrict: not to be set on this host" in written


def test_container_says_what_it_could_not_set(vps: Node) -> None:
    written = vps.host.file("/etc/sysctl.d/60-cerebrum.conf").content_string
    assert "# kernel.kptr_restrict: not to be set on this host" in written


@pytest.fixture
def by_password(vps: Node, lynis: Future[CommandResult], tmp_path: Path) -> Iterator[Path]:
    """An inventory of one host that is reached twice without a key: as root by password, and as a user who has no key,
    where the journal says nothing of it. The sshd that lets them in listens beside the host's own."""
    lynis.result()
    vps.host.check_output(
        "useradd --create-home --shell /bin/bash visitor && echo 'root:for-a-test\nvisitor:for-a-test' | chpasswd"
        " && printf 'Port 2222\nPermitRootLogin yes\nPasswordAuthentication yes\nPidFile none\nUsePAM no\n"
        "Match User visitor\nLogLevel QUIET\n' > /root/open_sshd"
        " && nft insert rule inet cerebrum input tcp dport 2222 accept"
        " && systemd-run --quiet --unit=open-sshd /usr/sbin/sshd -D -f /root/open_sshd"
        " && timeout 20 bash -c 'until echo > /dev/tcp/127.0.0.1/2222; do sleep 0.1; done' 2>/dev/null"
    )
    reached = f"ansible_host={vps.address} ansible_port=2222 ansible_password=for-a-test"
    options = "-o PubkeyAuthentication=no -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    inventory = tmp_path / "inventory"
    inventory.write_text(
        "[inference]\nroot_by_password ansible_user=root\n"
        "[edge]\nvisitor ansible_user=visitor ansible_become=false\n"
        f'[all:vars]\n{reached.replace(" ", chr(10))}\nansible_ssh_common_args="{options}"\n',
        encoding="utf-8",
    )
    yield inventory
    vps.host.check_output(
        "systemctl stop open-sshd; usermod --password '*' root; userdel --remove visitor 2>/dev/null;"
        " rm /root/open_sshd; nft -f /etc/cerebrum/firewall/rules.nft"
    )


def test_who_came_in_by_password_is_not_locked_out(by_password: Path) -> None:
    said = start("playbooks/base.yml", inventory=str(by_password)).communicate()[0]
    assert "root would be locked out of root_by_password" in said
    assert "root came in by password" in said
    assert "visitor would be locked out of visitor" in said
    assert "visitor has no authorized key there" in said
    assert said.count("changed=0") == 2
    assert said.count("failed=1") == 2
