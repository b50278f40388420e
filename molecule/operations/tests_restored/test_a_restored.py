"""Hosts were lost and are others now: the pair has the key that it had, and clients come in with theirs."""

from __future__ import annotations

import hashlib

import pytest

from nodes import Node
from operating import FOLDER, MODEL, run, stream
from support.playbooks import plugin

pytestmark = pytest.mark.timeout(300)


def saved(host: str) -> dict[str, str]:
    """The backup's files by path, as SHA-256."""
    text = (FOLDER / f"backup/{host}.backup").read_text(encoding="utf-8")
    secret = (FOLDER / "backup-password").read_text(encoding="utf-8").strip()
    found = plugin("roles/backup/filter_plugins/backup.py").opened(text, host, secret)
    assert found["problem"] == ""
    return {row["path"]: row["sha256"] for row in found["files"]}


def test_the_pair_has_its_old_key(pi: Node, vps: Node) -> None:
    key, digests = "/etc/cerebrum/edge/keys/vps", "/etc/cerebrum/inference/api_keys"
    assert pi.host.file(key).sha256sum == saved("pi")[key]
    assert vps.host.file(digests).sha256sum == saved("vps")[digests]
    assert (pi.host.file(key).user, pi.host.file(key).mode) == ("root", 0o600)
    assert (vps.host.file(digests).group, vps.host.file(digests).mode) == ("cerebrum-inference", 0o640)
    digest = hashlib.sha256(pi.host.file(key).content).hexdigest()
    assert digest in vps.host.file(digests).content_string


def test_a_model_that_nothing_could_fetch_is_back(vps: Node) -> None:
    file = vps.host.file(f"/var/lib/cerebrum/models/{MODEL}.gguf")
    assert (file.sha256sum, file.user, file.mode) == (MODEL, "root", 0o644)


def test_clients_stream_with_the_keys_that_they_had(pi: Node) -> None:
    events = stream(pi)
    assert events[-1]["finish_reason"] in {"stop", "length"}
    assert events[-1]["total_tokens"] > 1


def test_doctor_finds_nothing() -> None:
    done = run("playbooks/doctor.yml")
    assert done.returncode == 0, done.stdout
