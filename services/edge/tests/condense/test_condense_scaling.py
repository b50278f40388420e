"""Work grows with the text, not with its square: counted in calls, on the inputs that tempt to do otherwise."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

import pytest
from tree_sitter import Node

from cerebrum_edge.condense import condense, grammars
from cerebrum_edge.condense.core import PARSED_CHARS

SHAPES: dict[str, Callable[[int], str]] = {
    "one line": lambda size: "x = 1; " * (size // 7),
    "blank lines": lambda size: "\n" * size,
    "brackets": lambda size: "{" * size,
    "equal lines": lambda size: "value = compute(value)\n" * (size // 23),
    "other lines": lambda size: "".join(f"value_{n} = compute({n})\n" for n in range(size // 25)),
    "copies among others": lambda size: "".join(
        f"def f():\n    return first(second)\n\ndef g{n}():\n    return {n} + {n}\n\n" for n in range(size // 70)
    ),
    "deep": lambda size: "".join("    " * (n % 400) + f"if x{n}:\n" for n in range(size // 800)),
    "fences": lambda size: "```\n" * (size // 4),
    "markers": lambda size: "CODE:\nx = 1\nINSTRUCTION: go\n" * (size // 30),
    "comments": lambda size: "# a comment with words\n" * (size // 23),
    "one word": lambda size: "a" * size,
    "quotes": lambda size: "'''" * (size // 3),
}


def calls(text: str, *, prompt: bool) -> int:
    """Calls of Python and of C functions."""
    count = 0

    def profile(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(profile)
    try:
        condense(text, instruction=None if prompt else "compute the value of x", language="python", budget=3000)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("shape", sorted(SHAPES))
@pytest.mark.parametrize("prompt", [False, True])
def test_twice_the_text_is_about_twice_the_work(shape: str, prompt: bool) -> None:
    size = 2 * PARSED_CHARS
    small, large = (calls(SHAPES[shape](factor * size), prompt=prompt) for factor in (1, 2))
    assert large <= 2.6 * small + 2_000


def test_large_texts_are_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[int] = []
    parse = grammars.parse

    def counted(text: str, language: str) -> Node:
        parsed.append(len(text))
        return parse(text, language)

    monkeypatch.setattr(grammars, "parse", counted)
    for size in (PARSED_CHARS, PARSED_CHARS + 1):
        condense(SHAPES["other lines"](2 * size)[:size], instruction="x", language="python", budget=3000)
    assert parsed == [PARSED_CHARS]


@pytest.mark.parametrize("token", ["(a)", "x=>", "<a>", "a<b<", "${", '"', "'a ", "#if a"])
@pytest.mark.parametrize("language", sorted(grammars.LANGUAGES))
@pytest.mark.parametrize("end", ["", "\n"])
def test_what_no_parser_should_be_given_is_refused(token: str, language: str, end: str) -> None:
    text = (token + end) * (PARSED_CHARS // len(token + end))
    result = condense(text, instruction="fix a", language=language, budget=3000)
    assert len(result.text) <= 3000


def test_a_parse_of_what_repeats_itself_has_a_number_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "value = compute(value, 1)\n" * (PARSED_CHARS // 26)
    grammars.parse(text, "python")
    monkeypatch.setattr(grammars, "_BYTES_A_STEP", 5000)
    with pytest.raises(grammars.NotCode, match="too many steps"):
        grammars.parse(text, "python")
    assert condense(text, instruction="compute value", language="python", budget=900).reason is None
