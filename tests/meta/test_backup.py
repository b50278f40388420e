"""A backup's file: what is opened again, and what is refused, whatever was done to it."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.playbooks import plugin

backup: Any = plugin("roles/backup/filter_plugins/backup.py")
PASSWORD = "correct horse battery staple"


def file(path: str, data: bytes) -> dict[str, str]:
    content = base64.b64encode(data).decode()
    return {"path": path, "mode": "0600", "sha256": hashlib.sha256(data).hexdigest(), "content": content}


FILES = [file("/etc/cerebrum/edge/keys/vps", b"a-key"), file("/etc/cerebrum/edge/client_keys", b"laptop x -\n")]
MODELS = [{"id": "mine", "sha256": "a" * 64}]


def sealed(secret: str = "", host: str = "pi") -> str:
    return str(backup.sealed(FILES, MODELS, host, "2027-01-15T00:00:00Z", secret))


@pytest.mark.parametrize("secret", ["", PASSWORD])
def test_what_was_sealed_is_opened(secret: str) -> None:
    found = backup.opened(sealed(secret), "pi", secret)
    assert found == {"problem": "", "made": "2027-01-15T00:00:00Z", "files": FILES, "models": MODELS}


def test_an_encrypted_one_shows_nothing_and_wants_its_password() -> None:
    text = sealed(PASSWORD)
    assert text.startswith("$ANSIBLE_VAULT;1.1;AES256\n")
    assert FILES[0]["content"] not in text
    assert "backup_password_file" in backup.opened(text, "pi")["problem"]
    assert "another password" in backup.opened(text, "pi", "wrong password")["problem"]


def test_of_another_host_or_version_is_refused() -> None:
    assert "is of the host pi" in backup.opened(sealed(), "vps")["problem"]
    newer = json.dumps({**json.loads(sealed()), "cerebrum_backup": 2})
    assert "is of version 2" in backup.opened(newer, "pi")["problem"]


def test_it_writes_nowhere_else() -> None:
    for path in (
        "/etc/shadow",
        "/etc/cerebrum/edge/../../shadow",
        "/etc/cerebrum/edge/keys/",
        "/etc/cerebrum/edge/.x",
        "x",
    ):
        text = backup.sealed([file(path, b"x")], [], "pi", "")
        assert "would write where" in backup.opened(text, "pi")["problem"], path
    text = backup.sealed([], [{"id": "x", "sha256": "../x"}], "pi", "")
    assert "would write where" in backup.opened(text, "pi")["problem"]


@settings(max_examples=300)
@given(st.data())
def test_whatever_is_cut_or_changed_is_refused_or_harmless(data: st.DataObject) -> None:
    """Cut anywhere, or any character another: nothing but the very content that was sealed is ever opened."""
    text = sealed()
    where = data.draw(st.integers(0, len(text) - 2))
    changed = (
        text[:where] if data.draw(st.booleans()) else text[:where] + data.draw(st.characters()) + text[where + 1 :]
    )
    found = backup.opened(changed, "pi")
    assert found["problem"] or (found["files"], found["models"]) == (FILES, MODELS)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 2000), st.sampled_from("0123456789abcdef"))
def test_an_encrypted_one_that_is_cut_or_changed_is_refused(where: int, other: str) -> None:
    text = sealed(PASSWORD)
    assert backup.opened(text[: where % len(text)], "pi", PASSWORD)["problem"]
    place = 30 + where % (len(text) - 40)
    changed = text[:place] + other + text[place + 1 :]
    found = backup.opened(changed, "pi", PASSWORD)
    assert changed == text or found["problem"] or found["files"] == FILES


def test_what_an_exchange_has_under_way_is_left_out() -> None:
    more = [*FILES, file("/etc/cerebrum/edge/keys/vps.next", b"new"), file("/etc/cerebrum/edge/keys/vps.part", b"n")]
    assert backup.opened(backup.sealed(more, [], "pi", ""), "pi")["files"] == FILES


def test_only_what_differs_stands_in_the_way() -> None:
    assert backup.differing(FILES, []) == []
    assert backup.differing(FILES, [FILES[0]]) == []
    assert backup.differing(FILES, [{**FILES[0], "sha256": "0" * 64}]) == [FILES[0]["path"]]


def test_a_pair_that_does_not_agree_is_not_worth_saving() -> None:
    line = f"pi.x {hashlib.sha256(b'a-key').hexdigest()} -\n".encode()
    digests = file("/etc/cerebrum/inference/api_keys", b"# mine\n" + line)
    assert backup.disagreeing({"pi": FILES, "vps": [digests]}) == []
    assert backup.disagreeing({"pi": FILES}) == []
    other = file("/etc/cerebrum/inference/api_keys", b"")
    assert backup.disagreeing({"pi": FILES, "vps": [other]}) == ["pi for vps"]
