"""What holds for every text: the budget, the lines, the ranges, and that nothing raises."""

from __future__ import annotations

import string

from hypothesis import example, given, settings
from hypothesis import strategies as st

from cerebrum_edge.condense import Condensed, condense, condense_prompt

CODE_LINES = [
    "import os",
    "from a import b",
    "",
    "   ",
    "\t\tx = 1",
    "def parse_row(line):",
    "    if line:",
    "        return split(line)",
    "    else:",
    "        raise ValueError('no row')",
    "class Table:",
    "    def rows(self):",
    '        """Rows',
    '        of it."""',
    "func Add(a int) int {",
    "\treturn a + 1",
    "}",
    "#ifdef A",
    "#endif",
    "// a comment",
    "# größer 你好",
    "if (x) {",
    "} else {",
    "  foo(a,",
    "    b)",
    "```python",
    "```",
    "INSTRUCTION: rename parse_row",
    "CODE:",
]
lines = st.lists(st.sampled_from(CODE_LINES) | st.text(max_size=40), max_size=60)
languages = st.sampled_from(
    [None, "python", "javascript", "typescript", "go", "rust", "c", "cpp", "java", "shell", "cobol"]
)
asked = st.sampled_from(["rename parse_row", "", "fix rows() in Table", "größer", "(((((", "a.b `c d`"])


def text_of(parts: list[str], end: str, final: bool) -> str:
    return end.join(parts) + (end if final else "")


def check(text: str, result: Condensed) -> None:
    """Kept lines are the input's, byte for byte and in order; the others are elided; between them are markers only."""
    source = text.split("\n")
    if source[-1] == "":
        source.pop()
    ranges = sorted([(*pair, True) for pair in result.kept] + [(*pair, False) for pair in result.elided])
    assert [number for first, last, _ in ranges for number in range(first, last + 1)] == list(range(1, len(source) + 1))
    if result.reason is not None:
        assert result.text == text
        assert not result.elided
        return
    if not result.text:
        assert not result.kept
        return
    rest = result.text.split("\n")
    for first, last, kept in ranges:
        if kept:
            expected, rest = source[first - 1 : last], rest[last - first + 1 :]
            got = result.text.split("\n")[-len(rest) - len(expected) : -len(rest) or None]
            assert got == expected
        else:
            marker, rest = rest[0], rest[1:]
            assert f"[{last - first + 1} line" in marker
    assert rest in ([], [""])
    assert result.text.endswith("\n") == text.endswith("\n") or not result.kept


@given(lines, st.sampled_from(["\n", "\r\n"]), st.booleans(), languages, asked, st.integers(0, 900))
@example(["x = 1"] * 50, "\r\n", False, "python", "x", 100)
@settings(max_examples=300)
def test_kept_lines_are_the_sources_and_the_budget_holds(
    parts: list[str], end: str, final: bool, language: str | None, instruction: str, budget: int
) -> None:
    text = text_of(parts, end, final)
    result = condense(text, instruction=instruction, language=language, budget=budget)
    check(text, result)
    assert len(result.text) <= max(budget, 0)
    assert result.chars == len(text)
    assert 0 <= result.kept_units <= result.units


@given(lines, st.booleans(), st.integers(0, 900), st.integers(-5, 90), st.integers(-5, 90))
def test_a_prompt_keeps_all_that_is_not_code(parts: list[str], final: bool, budget: int, first: int, last: int) -> None:
    text = text_of(parts, "\n", final)
    result = condense(text, focus=(first, last), budget=budget)
    check(text, result)


@given(lines, languages, asked, st.integers(50, 900))
def test_the_same_input_gives_the_same_text(
    parts: list[str], language: str | None, instruction: str, budget: int
) -> None:
    text = text_of(parts, "\n", True)
    one = condense(text, instruction=instruction, language=language, budget=budget)
    two = condense(text, instruction=instruction, language=language, budget=budget)
    assert (one.text, one.kept) == (two.text, two.kept)


@given(st.text(max_size=3000) | st.binary(max_size=3000).map(lambda data: data.decode("latin-1")), languages)
@example("\ud800" * 2000, "python")
@example("\0" * 2000, "c")
@example("\r" * 2000, None)
@example("(" * 3000, "javascript")
@example("'''" * 700, "python")
def test_no_text_raises(text: str, language: str | None) -> None:
    check(text, condense(text, instruction="fix it", language=language, budget=700))
    check(text, condense(text, language=language, budget=700))
    check(text, condense_prompt(text, language=language, threshold=100, context_chars=1000))


@given(st.text(string.printable, max_size=6000), asked)
def test_a_text_that_fits_is_untouched(text: str, instruction: str) -> None:
    result = condense(text, instruction=instruction, budget=len(text))
    assert result.text == text
    assert result.reason == "fits the budget"
