"""The apt repository's key is known by its fingerprint, which is computed without gpg."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.playbooks import plugin
from support.repo import ROOT, load

KEY = (ROOT / "roles/tailscale/files/tailscale-archive-keyring.asc").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def fingerprints() -> Callable[[str], list[str]]:
    found: Callable[[str], list[str]] = plugin("plugins/filter/openpgp.py").openpgp_fingerprints
    return found


def test_shipped_key_is_the_one_that_is_asked_for(fingerprints: Callable[[str], list[str]]) -> None:
    """What `gpg --show-keys` says of it."""
    wanted = load("roles/tailscale/defaults/main.yml")["tailscale_apt_key_fingerprint"]
    assert fingerprints(KEY) == [wanted] == ["2596A99EAAB33821893C0A79458CA832957F5868"]


def test_changed_key_has_another_fingerprint(fingerprints: Callable[[str], list[str]]) -> None:
    assert fingerprints(KEY.replace("mQINBF5UmbgB", "mQINBF5UmbgC")) not in ([], fingerprints(KEY))


@pytest.mark.parametrize("text", ["", "text", KEY + KEY, KEY[:400], KEY.replace("mQINBF5U", "AAAAAAAA")])
def test_what_is_no_armored_key_has_none(text: str, fingerprints: Callable[[str], list[str]]) -> None:
    assert fingerprints(text) == []
