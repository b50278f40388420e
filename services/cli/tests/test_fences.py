"""Where the code of an answer is: the same wherever the text was cut, and never more held back than allowed."""

from __future__ import annotations

from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cerebrum_cli.answer.fences import MOST_HELD, FenceReader, Segment

LINES = st.sampled_from(
    [
        "```",
        "```python",
        "~~~",
        "~~~~ js title",
        "   ```",
        "    ```",
        "````",
        "``",
        "`a`",
        "```a``` b",
        "text",
        "",
        " ",
        "x" * 250,
        "```" + "z" * 300,
        "``` " + "y" * 196,
        "~~~" + "é" * 197,
        "\r",
        "```\r",
        "\x0b```",
        "\u2028",
    ]
)
TEXTS = st.lists(LINES, max_size=12).map("\n".join) | st.text(st.sampled_from("`~ \nab\r"), max_size=60)


def cut(text: str, places: list[int]) -> list[str]:
    bounds = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    return [text[a:b] for a, b in pairwise(bounds)]


def read(pieces: list[str]) -> list[Segment]:
    reader = FenceReader()
    segments = [segment for piece in pieces for segment in reader.feed(piece)]
    return [*segments, *reader.finish()]


def merged(segments: list[Segment]) -> list[tuple[str, str, str]]:
    groups = groupby(segments, key=lambda segment: (segment.kind, segment.language))
    return [(kind, language, "".join(each.text for each in group)) for (kind, language), group in groups]


@given(TEXTS, st.lists(st.integers(0, 4000), max_size=12))
def test_nothing_is_lost_and_the_cuts_do_not_matter(text: str, places: list[int]) -> None:
    pieces = read(cut(text, places))
    assert "".join(segment.text for segment in pieces) == text
    assert merged(pieces) == merged(read([text])) == merged(read(list(text)))


@given(TEXTS)
def test_what_is_held_is_bounded(text: str) -> None:
    reader = FenceReader()
    for character in text:
        list(reader.feed(character))
        assert reader.held <= MOST_HELD


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Hi\n```python\nx = 1\n```\nbye",
            [("text", "Hi\n"), ("fence", "```python\n"), ("code", "x = 1\n"), ("fence", "```\n"), ("text", "bye")],
        ),
        ("~~~\na\n```\n~~~", [("fence", "~~~\n"), ("code", "a\n```\n"), ("fence", "~~~")]),
        ("````\n```\n````\n", [("fence", "````\n"), ("code", "```\n"), ("fence", "````\n")]),
        ("    ```\nx", [("text", "    ```\nx")]),
        ("```a``` is inline", [("text", "```a``` is inline")]),
        ("```c\nint x;", [("fence", "```c\n"), ("code", "int x;")]),
        ("```\n``` not closed\n```\n", [("fence", "```\n"), ("code", "``` not closed\n"), ("fence", "```\n")]),
    ],
)
def test_table(text: str, expected: list[tuple[str, str]]) -> None:
    assert [(kind, part) for kind, _, part in merged(read([text]))] == expected


def test_the_language_is_the_first_word_behind_the_fence() -> None:
    assert [segment.language for segment in read(["```  c++ title=x\nint x;\n"])] == ["", "c++"]


def test_prose_is_passed_on_at_once() -> None:
    reader = FenceReader()
    assert [segment.text for segment in reader.feed("He")] == ["He"]
    assert [segment.text for segment in reader.feed("llo `")] == ["llo `"]
