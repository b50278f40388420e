"""Units, users, keys and files, as they are on the hosts."""

from __future__ import annotations

import hashlib

from nodes import Node


def test_one_instance_is_active_ready_and_enabled(each: Node) -> None:
    unit = each.instance()
    assert each.host.check_output(f"systemctl show --property=StatusText --value {unit}") == "ready"
    assert each.host.check_output(f"systemctl is-enabled {unit}") == "enabled"
    assert each.host.service(f"cerebrum-{each.service}.socket").is_enabled
    assert each.host.check_output("systemctl is-system-running") == "running"


def test_socket_names_the_instance_and_does_not_block(each: Node) -> None:
    triggers = each.host.check_output(f"systemctl show --property=Triggers --value cerebrum-{each.service}.socket")
    assert each.instance() in triggers
    assert each.host.check_output(f"systemctl show --property=NonBlocking --value {each.instance()}") == "yes"


def test_exposure_is_at_most_1_2(each: Node) -> None:
    done = each.host.run(f"systemd-analyze security --no-pager --threshold=12 {each.instance()}")
    assert done.rc == 0, done.stdout


def test_process_runs_as_its_own_user_without_capabilities(each: Node) -> None:
    pid = each.host.check_output(f"systemctl show --property=MainPID --value {each.instance()}")
    status = each.host.check_output(f"cat /proc/{pid}/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    user = each.host.user(f"cerebrum-{each.service}")
    assert fields["Uid"].split() == [str(user.uid)] * 4
    assert int(fields["CapEff"], 16) == 0
    assert fields["NoNewPrivs"] == "1"
    assert user.shell == "/usr/sbin/nologin"


def test_key_files_are_private_and_fit_each_other(pi: Node, vps: Node) -> None:
    plain = pi.host.file("/etc/cerebrum/edge/keys/vps")
    assert (plain.user, plain.group, plain.mode) == ("root", "root", 0o600)
    assert pi.host.file("/etc/cerebrum/edge/keys").mode == 0o700
    digests = vps.host.file("/etc/cerebrum/inference/api_keys")
    assert (digests.user, digests.group, digests.mode) == ("root", "cerebrum-inference", 0o640)
    key_id, digest, created = digests.content_string.split()
    assert key_id == f"pi.{digest[:8]}"
    assert digest == hashlib.sha256(plain.content).hexdigest()
    assert created.endswith("Z")


def test_key_is_nowhere_else(pi: Node, vps: Node) -> None:
    key = pi.host.file("/etc/cerebrum/edge/keys/vps").content_string
    for one in (pi, vps):
        # The pattern comes by standard input: on a command line the search would find itself.
        search = f"printf %s '{key}' > /root/.key && chmod 600 /root/.key"
        assert one.host.run(search).rc == 0
        try:
            processes = one.host.run(
                "for p in /proc/[0-9]*; do tr '\\0' '\\n' < $p/cmdline; tr '\\0' '\\n' < $p/environ; done 2>/dev/null"
                " | grep -cFf /root/.key"
            )
            journal = one.host.run("journalctl --no-pager | grep -v 'printf %s' | grep -cFf /root/.key")
            files = one.host.run(
                "grep -rlFf /root/.key /etc /opt/cerebrum /var/lib/cerebrum /var/log 2>/dev/null"
                " | grep -v '^/var/log/journal'"
            )
        finally:
            one.host.run("rm -f /root/.key")
        assert processes.stdout.strip() == "0", processes.stdout
        assert journal.stdout.strip() == "0"
        assert files.stdout.split() == (["/etc/cerebrum/edge/keys/vps"] if one is pi else [])


def test_model_is_in_the_store_under_its_hash(vps: Node) -> None:
    store = vps.host.file("/var/lib/cerebrum/models")
    assert (store.user, store.group, store.mode) == ("root", "cerebrum-models", 0o1775), (
        "who fetches changes nobody's file"
    )
    names = [name for name in store.listdir() if name.endswith(".gguf")]
    assert len(names) == 1
    assert vps.host.file(f"/var/lib/cerebrum/models/{names[0]}").sha256sum == names[0].removesuffix(".gguf")


def test_release_is_owned_by_root_and_complete(each: Node) -> None:
    release = each.instance().split("@")[1].rsplit(".", 2)[0]
    folder = f"/opt/cerebrum/{each.service}/releases/{release}"
    assert each.host.file(f"{folder}/.complete").content_string.strip() == release
    writable = each.host.check_output(f"find {folder} ! -type l \\( ! -user root -o -perm /022 \\)")
    assert writable == ""
