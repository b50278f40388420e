"""`playbooks/backup.yml`, and what `playbooks/restore.yml` refuses: each time before any host was touched."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from nodes import Node
from operating import FOLDER, MODEL, plain, run, unchanged, untouched

pytestmark = pytest.mark.timeout(300)
BACKUP = FOLDER / "backup"
PASSWORD = FOLDER / "backup-password"
WHERE = ["-e", f"backup_dir={BACKUP}", "-e", f"backup_password_file={PASSWORD}"]
# A file that came from the host's own disk, which nothing could fetch again.
STORE = "/var/lib/cerebrum/models"
ROW = "{models: [{id: mine, sha256: %s, file: %s.gguf, source: {url: 'file:///srv/mine.gguf'}}]}"


def restore(folder: Path, password: Path = PASSWORD) -> tuple[int, str]:
    done = run("playbooks/restore.yml", "-e", f"backup_dir={folder}", "-e", f"backup_password_file={password}")
    assert unchanged(done), done.stdout
    return done.returncode, plain(done.stdout)


def test_without_a_password_nothing_is_written(tmp_path: Path) -> None:
    done = run("playbooks/backup.yml", "-e", f"backup_dir={tmp_path}/none")
    assert done.returncode == 2
    assert "A backup holds keys. Give backup_password_file" in plain(done.stdout)
    assert not (tmp_path / "none").exists()


def test_it_is_saved_for_its_owner_alone_and_encrypted(pi: Node, vps: Node) -> None:
    if BACKUP.exists():  # of a run before
        shutil.rmtree(BACKUP)
    PASSWORD.write_text("the scenario's own password\n", encoding="utf-8")
    os.umask(0o022)
    vps.host.check_output(f"cd {STORE} && echo '{ROW % (MODEL, MODEL)}' > manifest-mine.yml")
    vps.host.check_output(f"cd {STORE} && printf mine > {MODEL}.gguf && chmod 644 {MODEL}.gguf")
    with untouched(pi, vps):
        done = run("playbooks/backup.yml", *WHERE, "-vvv")
    assert done.returncode == 0, done.stdout[-4000:]
    assert BACKUP.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in BACKUP.iterdir()) == sorted([f"{MODEL}.gguf", "pi.backup", "vps.backup"])
    key = pi.host.file("/etc/cerebrum/edge/keys/vps").content_string
    assert key not in done.stdout
    for path in BACKUP.glob("*.backup"):
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.read_text(encoding="utf-8").startswith("$ANSIBLE_VAULT;1.1;AES256\n")
    again = run("playbooks/backup.yml", *WHERE)
    assert again.returncode == 2
    assert "exists already. Nothing was written" in plain(again.stdout)


def test_onto_the_hosts_that_it_is_of_it_changes_nothing() -> None:
    code, said = restore(BACKUP)
    assert code == 0, said


def test_one_that_is_cut_or_of_another_host_is_refused_for_all(pi: Node, vps: Node, tmp_path: Path) -> None:
    shutil.copytree(BACKUP, tmp_path, dirs_exist_ok=True)
    text = (BACKUP / "vps.backup").read_bytes()
    with untouched(pi, vps):
        (tmp_path / "vps.backup").write_bytes(text[: len(text) // 2])
        code, said = restore(tmp_path)
        assert code == 2
        assert "vps.backup cannot be opened: backup_password_file holds another password, or the file is" in said
        assert "No host was touched." in said
        (tmp_path / "vps.backup").write_bytes((BACKUP / "pi.backup").read_bytes())
        code, said = restore(tmp_path)
        assert code == 2
        assert "vps.backup is of the host pi" in said
        (tmp_path / "vps.backup").unlink()
        code, said = restore(tmp_path)
        assert code == 2
        assert "has no vps.backup. Nothing was changed." in said


def test_keys_that_were_made_since_are_not_replaced_unasked(pi: Node, vps: Node) -> None:
    digests = "/etc/cerebrum/inference/api_keys"
    vps.host.check_output(f"sed -i '$ a # a later word' {digests}")
    try:
        with untouched(pi, vps):
            code, said = restore(BACKUP)
    finally:
        vps.host.check_output(f"sed -i '/^# a later word/d' {digests}")
    assert code == 2
    assert "vps has other files than the backup of" in said
    assert "backup_replace" in said
