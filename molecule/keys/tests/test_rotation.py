"""Keys are rotated while clients ask: whole, interrupted after every step, and after what people do to the files."""

from __future__ import annotations

import hashlib
import io
import tarfile
import uuid
from pathlib import Path

import pytest

from nodes import Node
from plays import ABORTED, Load, Sampler, play

# Plays take as long as the machine needs; a test that hangs is what this is for.
pytestmark = pytest.mark.timeout(900)
PLAIN = "/etc/cerebrum/edge/keys/vps"
DIGESTS = "/etc/cerebrum/inference/api_keys"
PLACES = "/etc /root /tmp /var/tmp /run /var/lib/systemd /opt/cerebrum/edge/releases/*/dist /opt/cerebrum/wheels"
# The steps of a rotation, each the last before its play is interrupted, and the play that goes on from there.
STEPS = [
    ("playbooks/rotate_keys.yml", "API key | New key waits beside the old one"),
    ("playbooks/rotate_keys.yml", "API key | Keys that wait are admitted"),
    ("site.yml", "API key | Keys that wait take their place"),
    ("playbooks/rotate_keys.yml", "App | New instance has become ready"),
    ("playbooks/rotate_keys.yml", "App | Old instances have drained"),
    ("playbooks/rotate_keys.yml", "API key | Use of the new key is waited for"),
    ("playbooks/rotate_keys.yml", "API key | Digests that no holder uses are gone"),
]


def plain(pi: Node) -> str:
    return str(pi.host.file(PLAIN).content_string)


def admitted(vps: Node) -> dict[str, str]:
    """Ids by digest."""
    lines = vps.host.file(DIGESTS).content_string.splitlines()
    return {line.split()[1]: line.split()[0] for line in lines if line and not line.startswith("#")}


def assert_one_key(pi: Node, vps: Node) -> str:
    """The pair has one key, in use; returns it."""
    key = plain(pi)
    digest = hashlib.sha256(key.encode()).hexdigest()
    assert admitted(vps) == {digest: f"pi.{digest[:8]}"}
    assert pi.host.file("/etc/cerebrum/edge/keys").listdir() == ["vps"]
    loaded = f"/run/credentials/{pi.instance()}/vps"
    assert pi.host.check_output(f"sha256sum {loaded}").split()[0] == digest
    return key


def files_with(node: Node, keys: list[bytes]) -> set[str]:
    """Files on the host that hold one of the keys; they are looked for here, not by a command there."""
    done = node.host.run(f"tar --create --ignore-failed-read --file=- {PLACES}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout_bytes)) as archive:
        found = {f"/{row.name}": file.read() for row in archive if row.isreg() and (file := archive.extractfile(row))}
    return {name for name, text in found.items() if any(key in text for key in keys)}


def test_rotation_under_load_loses_nothing_and_shows_no_key(pi: Node, vps: Node, tmp_path: Path) -> None:
    old = assert_one_key(pi, vps)
    canary = f"canary-{uuid.uuid4().hex}"
    with Load(pi) as load:
        with Sampler() as sampler:
            pi.host.check_output(f"CANARY={canary}-environ sleep 1; sh -c 'sleep 1; true' {canary}-argv")
            done = play("playbooks/rotate_keys.yml", "-vvv", "--diff", cache=tmp_path)
        assert done.returncode == 0, done.stdout[-4000:]
        load.more()
    assert load.failures == []
    new = assert_one_key(pi, vps)
    assert new != old
    assert f"vps no longer admits pi.{hashlib.sha256(old.encode()).hexdigest()[:8]}" in done.stdout

    keys = [old.encode(), new.encode()]
    for sign in ("environ", "argv"):
        assert f"{canary}-{sign}".encode() in sampler.seen, "the sampler sees what runs on the hosts"
    assert not any(key in sampler.seen for key in keys)
    assert not any(key in done.stdout.encode() for key in keys)
    cached = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert cached, "facts were cached"
    assert not any(key in text for key in keys for text in cached)
    for node in (pi, vps):
        journal = node.host.run("journalctl --no-pager --output=export").stdout_bytes
        assert b"cerebrum" in journal
        assert not any(key in journal for key in keys)
    assert files_with(vps, keys) == set()
    assert files_with(pi, keys) == {PLAIN, f"/run/credentials/{pi.instance()}/vps"}


def test_rotation_interrupted_after_each_step_leaves_a_working_pair_and_is_completed(pi: Node, vps: Node) -> None:
    old, made = assert_one_key(pi, vps), ""
    with Load(pi) as load:
        for book, step in STEPS:
            done = play(book, abort_after=step)
            assert done.returncode == ABORTED, f"{step} was not reached: {done.stdout[-4000:]}"
            assert hashlib.sha256(plain(pi).encode()).hexdigest() in admitted(vps), step
            load.more()
            # Whatever goes on from here, the key that was made first is the one that the exchange ends with.
            made = made or str(pi.host.file(f"{PLAIN}.next").content_string)
        again = play("site.yml")
        assert again.returncode == 0, again.stdout[-4000:]
        load.more()
    assert load.failures == []
    assert assert_one_key(pi, vps) == made != old
    assert again.stdout.count("changed=0") == 2, again.stdout[-1000:]


def test_check_mode_says_what_it_would_do_and_changes_nothing(pi: Node, vps: Node) -> None:
    key = assert_one_key(pi, vps)
    done = play("playbooks/rotate_keys.yml", "--check", "--diff")
    assert done.returncode == 0, done.stdout[-4000:]
    assert "pi for vps: key pi." in done.stdout
    assert "gets a successor" in done.stdout
    assert assert_one_key(pi, vps) == key


def test_broken_line_is_named_and_nothing_is_changed(pi: Node, vps: Node) -> None:
    key = assert_one_key(pi, vps)
    broken = f"{vps.host.file(DIGESTS).content_string}laptop not-a-digest\n"
    vps.host.check_output(f"printf '%s\\n' 'laptop not-a-digest' >> {DIGESTS}")
    try:
        done = play("playbooks/rotate_keys.yml")
        assert vps.host.file(DIGESTS).content_string == broken
    finally:
        vps.host.check_output(f"sed -i '/^laptop/d' {DIGESTS}")
    assert done.returncode == 2
    for words in (DIGESTS, "line 2 is not `id sha256hex created`", "Correct the line, or delete it"):
        assert words in " ".join(done.stdout.split())
    assert "not-a-digest" not in done.stdout
    assert assert_one_key(pi, vps) == key


def test_damaged_key_is_replaced_and_only_lines_of_our_own_are_dropped(pi: Node, vps: Node) -> None:
    """Keys that are young stay with `older_than`; a key that is gone is no such key."""
    old = assert_one_key(pi, vps)
    own, orphan = "a" * 64, "b" * 64
    rows = f"# mine\\nlaptop {own} 2026-01-31\\nformer-edge.{orphan[:8]} {orphan} 2026-01-31T00:00:00Z\\n"
    vps.host.check_output(f"printf '{rows}' >> {DIGESTS}")
    pi.host.check_output(f"truncate --size=20 {PLAIN}")
    with Load(pi) as load:
        done = play("playbooks/rotate_keys.yml", "-e", "api_key_older_than=30d")
        assert done.returncode == 0, done.stdout[-4000:]
        load.more()
    assert load.failures == []
    assert "also admits laptop" in done.stdout
    assert "# mine\nlaptop" in vps.host.file(DIGESTS).content_string
    assert set(admitted(vps)) == {own, hashlib.sha256(plain(pi).encode()).hexdigest()}
    assert plain(pi) != old
    vps.host.check_output(f"sed -i '/^# mine/d; /^laptop/d' {DIGESTS}")
    assert_one_key(pi, vps)
