from __future__ import annotations

import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cerebrum_kit.keys import KeyFileError, KeyRing, digest, key_line, new_key, parse_keys, read_plain_key
from support.process import running

PROBE = [sys.executable, str(Path(__file__).parent / "probe_service.py")]
NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


def ring(path: Path, *lines: str) -> KeyRing:
    path.write_text("\n".join(lines), encoding="utf-8")
    return KeyRing(path)


def test_each_key_is_known_by_its_id(tmp_path: Path) -> None:
    one, two = new_key(), new_key()
    keys = ring(tmp_path / "keys", key_line("pi", one, now=NOW), "# a comment", "", key_line("laptop", two, now=NOW))
    assert keys.check(one.encode()) == "pi"
    assert keys.check(two.encode()) == "laptop"
    assert keys.check(one.encode() + b"x") is None
    assert keys.ids == ("pi", "laptop")


@given(st.binary(max_size=80))
def test_any_bytes_are_merely_wrong(presented: bytes) -> None:
    keys = KeyRing(extra=parse_keys(key_line("pi", "right")))
    assert keys.check(presented) == ("pi" if presented == b"right" else None)


def test_new_keys_have_256_bits_and_differ() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(len(key) == 43 for key in keys)


def test_file_holds_no_key() -> None:
    assert "secret-key" not in key_line("pi", "secret-key")
    assert key_line("pi", "secret-key", now=NOW) == f"pi {digest(b'secret-key').hex()} 2026-11-21T10:00:00Z"


@pytest.mark.parametrize(
    "line", ["pi", "pi abc 2026", "pi " + "0" * 64, "p/i " + "0" * 64 + " now", "pi " + "0" * 64 + " a b"]
)
def test_malformed_line_is_named(line: str) -> None:
    with pytest.raises(KeyFileError, match="line 2: expected `id sha256hex created`"):
        parse_keys(f"# first\n{line}")


def test_id_twice_is_refused() -> None:
    with pytest.raises(KeyFileError, match="twice"):
        parse_keys(f"{key_line('pi', 'a')}\n{key_line('pi', 'b')}")


def test_change_of_the_file_counts_at_once_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    keys = ring(path, key_line("old", "old-key"))
    path.write_text(key_line("new", "new-key") + "\n", encoding="utf-8")
    os.utime(path, (1, 1))
    assert keys.check(b"new-key") == "new"
    assert keys.check(b"old-key") is None
    path.write_text("broken", encoding="utf-8")
    os.utime(path, (2, 2))
    assert keys.check(b"new-key") == "new"
    assert keys.problem is not None
    path.unlink()
    assert keys.check(b"new-key") == "new"


def test_missing_file_at_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="No such file"):
        KeyRing(tmp_path / "none")


@pytest.mark.parametrize("text", ["the-key", "the-key\n", "  the-key \r\n\n"])
def test_pasted_newlines_are_no_part_of_a_key(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key"
    path.write_text(text, encoding="utf-8", newline="")
    assert read_plain_key(path) == "the-key"


@pytest.mark.parametrize("text", ["", "\n", "two words", "sch\u00f6n", "bell\x07"])
def test_what_is_no_key_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(KeyFileError, match="one key on one line") as caught:
        read_plain_key(path)
    assert not text.strip() or text not in str(caught.value)


def test_use_of_a_key_is_counted_under_its_id_and_looking_is_no_use(tmp_path: Path) -> None:
    keys = {name: new_key() for name in ("pi.old", "pi.new")}
    path = tmp_path / "keys"
    path.write_text("\n".join(key_line(name, key) for name, key in keys.items()), encoding="utf-8")
    with (
        running(PROBE, {"PROBE_KEYS": str(path)}) as probe,
        httpx.Client(base_url=probe.url, trust_env=False) as client,
    ):

        def counted() -> dict[str, float]:
            text = client.get("/metrics", headers={"x-api-key": keys["pi.new"]}).text
            rows = re.findall(r'^cerebrum_probe_key_requests_total\{key_id="([^"]+)"\} (\S+)$', text, re.MULTILINE)
            return {name: float(value) for name, value in rows}

        assert counted() == counted() == {}
        for _ in range(2):
            assert client.get("/ready", headers={"authorization": f"Bearer {keys['pi.old']}"}).status_code == 200
        assert client.get("/ready", headers={"x-api-key": "another"}).status_code == 401
        assert counted() == {"pi.old": 2}
