"""The pieces: terms, outlines, selection."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cerebrum_edge.condense import assemble, kinds, splitter
from cerebrum_edge.condense.openings import openings
from cerebrum_edge.condense.rank import WEIGHTS
from cerebrum_edge.condense.select import Selection
from cerebrum_edge.condense.signals import NAMES
from cerebrum_edge.condense.terms import WORD, parts, query, spaced, stem
from cerebrum_edge.condense.units import Outline, outline

MARKER = 12


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("parseHTTPRow_2", ["parse", "http", "row", "2"]),
        ("__init__", ["init"]),
        ("größer", ["gr", "öß", "er"]),
        ("HARD_SET_NUM", ["hard", "set", "num"]),
        ("", []),
    ],
)
def test_identifiers_are_taken_apart(word: str, expected: list[str]) -> None:
    assert parts(word) == expected


@given(st.text("abcdefgimnorsty", min_size=1, max_size=14))
def test_a_stem_begins_its_word(word: str) -> None:
    assert word.startswith(stem(word))


@pytest.mark.parametrize(
    ("instruction", "identifier", "matches"),
    [
        ("validate the configuration", "config_path", True),
        ("check gitignore", "check_gitignore", True),
        ("fix replace_bytes", "replace_bytes", True),
        ("add a type for zsh", "retype", False),
        ("retries", "retry_count", True),
        ("the of and", "the_of", False),
    ],
)
def test_what_an_instruction_speaks_of(instruction: str, identifier: str, matches: bool) -> None:
    assert bool(query(instruction).match(identifier)) == matches


WORDS = st.text("abAB_1éİK", min_size=1, max_size=12)


@given(st.text(max_size=200), st.lists(WORDS, max_size=20), st.integers(0, 3))
def test_the_quick_refusal_refuses_no_match(instruction: str, words: list[str], named: int) -> None:
    built = query(instruction + " " + " ".join(words[:named]))
    assert built.matches(set(words)) == {word: built.match(word) for word in words if built.match(word)}


@given(st.text())
def test_the_quick_split_finds_all_words_where_they_are(text: str) -> None:
    assert spaced(text).split() == WORD.findall(text)
    assert len(spaced(text)) == len(text)


@pytest.mark.parametrize("instruction", ["call reset() first", "fix `Table.reset`", "see Table.reset"])
def test_identifiers_that_are_named(instruction: str) -> None:
    assert "reset" in query(instruction).named


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("    async def fetch(self):", "fetch"),
        ("func (s *Store) Get(key string) int {", "Get"),
        ("pub(crate) fn get<T>(x: T) {", "get"),
        ("export default class Store {", "Store"),
        ("static int jv_get(jv x) {", "jv_get"),
        ("# nothing", ""),
    ],
)
def test_names_of_headers(line: str, name: str) -> None:
    assert kinds.name(line) == name


def test_every_signal_has_a_weight() -> None:
    assert set(WEIGHTS) == set(NAMES)


LIST = [
    "TYPES = [",
    *(
        f'    ("{word}", ["*.{word}"]),'
        for word in ["ada", "bat", "c", "css", "d", "elm", "go", "java", "js", "lua", "md"]
    ),
    "]",
]


@pytest.mark.parametrize(
    ("instruction", "rows"),
    [
        ("Add dart", {5, 6}),
        ("support zsh", {11}),
        ("add js", set()),
        ("remove dart", set()),
    ],
)
def test_a_sorted_list_opens_where_a_new_word_belongs(instruction: str, rows: set[int]) -> None:
    assert openings("\n".join(LIST), query(instruction)) == rows


def test_what_is_deeper_does_not_end_a_list() -> None:
    deeper = [line.replace('["', '[\n        "').split("\n") for line in LIST]
    lines = [line for group in deeper for line in group]
    assert [lines[row].strip() for row in sorted(openings("\n".join(lines), query("add dart")))] == [
        '("d", [',
        '("elm", [',
    ]


def indented(depths: list[int]) -> Outline:
    lines = ["    " * depth + f"line {row}" if depth >= 0 else "" for row, depth in enumerate(depths)]
    return outline(lines, splitter.parts(lines), 20)


outlines = st.lists(st.integers(-1, 4), min_size=1, max_size=40).map(indented)


@given(outlines)
def test_units_and_frames_cover_every_line_with_text_once(whole: Outline) -> None:
    rows = [row for unit in whole.units for row in range(unit.first, unit.last + 1)]
    rows += [row for block in whole.blocks for row in block.frame]
    assert len(rows) == len(set(rows))
    assert {row for row, line in enumerate(whole.lines) if line.strip()} <= set(rows)


@given(outlines, st.data())
def test_what_a_selection_counts_is_what_it_takes(whole: Outline, data: st.DataObject) -> None:
    units = data.draw(st.permutations(range(len(whole.units))))
    budget = data.draw(st.integers(0, 400))
    selection = Selection(whole, MARKER)
    selection.fill(units, budget)
    if data.draw(st.booleans()):
        selection.close_gaps()
    taken = sum(whole.chars(first, last) for first, last in assemble.runs(selection.kept))
    assert selection.used == taken + MARKER * len(list(assemble.gaps(selection.kept)))
    assert selection.used <= max(budget, MARKER)
    for unit in whole.units:
        block = unit.block
        while selection.kept[unit.first] and block >= 0:
            assert all(selection.kept[row] for row in whole.blocks[block].frame)
            block = whole.blocks[block].parent
