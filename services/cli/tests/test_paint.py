"""Answers as a terminal gets them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cerebrum_cli.answer.paint import Painter, visible

SGR = re.compile(r"\x1b\[[0-9;]*m")
TEXTS = st.text() | st.text(st.sampled_from("`~ \ndef'\"#x\x1b\x07\r\u202e"), max_size=80)


def paint(pieces: list[str], language: str | None = None, *, colour: bool = True) -> str:
    painter = Painter(language=language, colour=colour)
    return "".join([painter.feed(piece) for piece in pieces] + [painter.finish()])


@given(TEXTS, st.sampled_from([None, "python", "rust", "nonsense"]))
def test_colours_add_nothing_else(text: str, language: str | None) -> None:
    painted = paint(list(text), language)
    assert SGR.sub("", painted) == visible(text)
    assert paint([text], language, colour=False) == visible(text)


@given(TEXTS)
def test_nothing_that_a_terminal_obeys_comes_through(text: str) -> None:
    assert all(character in "\n\t" or ord(character) >= 32 for character in visible(text))
    assert not re.search(r"[\x7f-\x9f\u202a-\u202e\u2066-\u2069]", visible(text))


@given(TEXTS)
def test_no_colour_goes_over_a_line_end(text: str) -> None:
    for line in paint([text], "python").split("\n"):
        assert not line or line.count("\x1b[0m") * 2 == line.count("\x1b[")


def test_escape_sequences_are_seen_and_not_obeyed() -> None:
    assert paint(["\x1b]0;own", "ed\x07\x1b[2J"]) == "␛]0;owned␇␛[2J"
    assert visible("a\r\nb") == "a\nb"
    assert visible("日本語 🙂 é") == "日本語 🙂 é"


def test_code_in_fences_is_coloured_and_words_are_not() -> None:
    painted = paint(["if so:\n```py", "thon\ndef f", "(): pass\n```\nif not\n"])
    assert painted == (
        "if so:\n\x1b[2m```python\x1b[0m\n\x1b[35mdef\x1b[0m \x1b[1;34mf\x1b[0m(): \x1b[35mpass\x1b[0m\n"
        "\x1b[2m```\x1b[0m\nif not\n"
    )


def test_text_is_code_until_a_fence_shows_that_it_is_not() -> None:
    assert paint(["return 1\n"], "python") == "\x1b[35mreturn\x1b[0m \x1b[33m1\x1b[0m\n"
    assert paint(["```\nx\n```\nreturn 1\n"], "python").endswith("```\x1b[0m\nreturn 1\n")


@pytest.mark.parametrize("language", ["text", "", "console"])
def test_what_is_no_known_language_keeps_its_colour(language: str) -> None:
    assert "if x" in paint([f"```{language}\nif x\n```\n"])
