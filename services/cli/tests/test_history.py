"""What is remembered, for whom, and what is not."""

from __future__ import annotations

import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cerebrum_cli.history import MOST_ENTRIES, History, worth_remembering


def test_it_lasts_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "state" / "history"
    history = History(path)
    for entry in ("def f():\n    pass", "日本語 \u2028 \x1b", ":lang go"):
        history.add(entry)
    assert History(path).entries == ["def f():\n    pass", "日本語 \u2028 \x1b", ":lang go"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@given(st.lists(st.text(), max_size=5))
def test_any_text_comes_back_as_it_was(entries: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        history = History(Path(folder) / "history")
        for entry in entries:
            history.add(entry)
        assert History(Path(folder) / "history").entries == history.entries


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.touch(0o644)
    History(path).add("x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_forgetting_empties_the_file(tmp_path: Path) -> None:
    history = History(tmp_path / "history")
    history.add("x")
    history.forget()
    assert history.entries == []
    assert (tmp_path / "history").read_bytes() == b""


def test_broken_lines_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.write_text('"a"\n"half\n17\n{"x": 1}\n"b"\n', encoding="utf-8")
    assert History(path).entries == ["a", "b"]


def test_it_does_not_grow_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.write_text("".join(f'"{number}"\n' for number in range(2 * MOST_ENTRIES + 1)), encoding="utf-8")
    assert len(History(path).entries) == MOST_ENTRIES
    assert History(path).entries[-1] == str(2 * MOST_ENTRIES)
    assert len(path.read_text(encoding="utf-8").splitlines()) == MOST_ENTRIES


def test_a_place_that_cannot_be_written_is_said_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    history = History(tmp_path / "file" / "history")
    history.add("x")
    assert history.entries == ["x"]
    assert history.problem is not None
    assert str(tmp_path / "file" / "history") in history.problem


def test_a_file_that_is_no_text_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.write_bytes(b"\xff\xfe")
    history = History(path)
    history.add("x")
    assert history.problem is not None
    assert path.read_bytes() == b"\xff\xfe"


@pytest.mark.parametrize(
    "text",
    [
        "my key is s3cret-of-the-edge",
        "use " + "sk-" + "a1b2" * 6,
        "AKIA" + "ABCDEFGHIJKLMNOP",
        "-----BEGIN " + "PRIVATE KEY-----",
        'API_KEY = "0123456789abcdef"',
        "export GITHUB_TOKEN=0123456789",
        "curl -H 'Authorization: Bearer 0123456789abcdefghij'",
        "  starts with a space",
        "",
        " ",
        "the same again",
    ],
)
def test_what_is_not_remembered(text: str) -> None:
    assert not worth_remembering(text, secret="s3cret-of-the-edge", last="the same again")


@pytest.mark.parametrize(
    "text", ["def f(token: str):", "token = next(tokens)", "password: Optional[str] = None", ":model sk", "x"]
)
def test_what_is(text: str) -> None:
    assert worth_remembering(text, secret="s3cret", last=None)


@given(st.text(min_size=1))
def test_no_entry_with_the_edges_key_in_it(around: str) -> None:
    assert not worth_remembering(f"x{around}s3cret{around}", secret="s3cret", last=None)
