"""Where a sorted list would take in a new word: "add zsh" belongs between `yaml` and `zig`, which it does not name."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from cerebrum_edge.condense.terms import STOP, VERBS, Query

_ADDING = frozenset(("add", "adds", "added", "include", "support", "introduce", "register", "new", "allow"))
# A line's indentation, a bracket that closes, its first word if nothing but brackets and quotes is before it, and what
# tells it from a blank one. Matches once a line, and once more at the end.
_LINE = re.compile(r"([^\S\n]*)([)\]}]?)(?:[(\"'&\[{.]{0,3}([A-Za-z][\w-]*))?(.?).*\n?")
_LEAST = 8  # entries that are in order before a list is taken for sorted


def openings(lines: Sequence[str], query: Query) -> set[int]:
    """Lines (0-based) beside the places, for each word of an instruction to add something that is not in the text."""
    if not query.words & _ADDING:
        return set()
    new = sorted(word for word in query.words - STOP - VERBS - _ADDING if len(word) > 1)
    found: set[int] = set()
    for keys, rows in _sorted_runs(lines) if new else ():
        for word in new if len(keys) >= _LEAST else ():
            at = bisect_left(keys, word)
            if keys[at : at + 1] != [word]:
                found.update(rows[max(0, at - 1) : at + 1])
    return found


def _sorted_runs(lines: Sequence[str]) -> Iterator[tuple[list[str], list[int]]]:
    """Lines of one indentation whose first words are in order; what is indented deeper between them belongs to them."""
    open_runs: list[tuple[int, list[str], list[int]]] = []  # outermost first
    for row, (white, closer, key, more) in enumerate(_LINE.findall("\n".join(lines))):
        if not (closer or key or more):
            continue
        own = len(white)
        while open_runs and open_runs[-1][0] > own:
            yield open_runs.pop()[1:]
        if closer:
            continue
        word = key.lower()
        if open_runs and open_runs[-1][0] == own:
            if word and word >= open_runs[-1][1][-1]:
                open_runs[-1][1].append(word)
                open_runs[-1][2].append(row)
                continue
            yield open_runs.pop()[1:]
        if word:
            open_runs.append((own, [word], [row]))
    for _, keys, rows in open_runs:
        yield keys, rows
