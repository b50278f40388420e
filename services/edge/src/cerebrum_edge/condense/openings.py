"""Where a sorted list would take in a new word: "add zsh" belongs between `yaml` and `zig`, which it does not name."""

from __future__ import annotations

import re
from bisect import bisect_left

from cerebrum_edge.condense.terms import STOP, VERBS, Query

_ADDING = frozenset(("add", "adds", "added", "include", "support", "introduce", "register", "new", "allow"))
# A line's indentation, a bracket that closes, its first word if nothing but brackets and quotes is before it, and what
# tells it from a blank one. Matches once a line, and once more at the end.
_LINE = re.compile(r"([ \t]*)[^\S\n]*([)\]}]?)(?:[(\"'&\[{.]{0,3}([A-Za-z][\w-]*))?(.?).*\n?")
_LEAST = 8  # entries that are in order before a list is taken for sorted


def openings(text: str, query: Query) -> set[int]:
    """Lines (0-based) beside the places, for each word of an instruction to add something that is not in the text."""
    if not query.words & _ADDING:
        return set()
    new = sorted(word for word in query.words - STOP - VERBS - _ADDING if len(word) > 1)
    found: set[int] = set()
    for keys, rows in _sorted_runs(text) if new else ():
        for word in new:
            at = bisect_left(keys, word)
            if keys[at : at + 1] != [word]:
                found.update(rows[max(0, at - 1) : at + 1])
    return found


def _sorted_runs(text: str) -> list[tuple[list[str], list[int]]]:
    """Lines of one indentation whose first words are in order; what is indented deeper between them belongs to them."""
    ended: list[list[int]] = []
    runs: list[list[int]] = []  # rows of those that may go on, outermost first
    indents: list[int] = []  # of each of them
    words: list[str] = []  # of all lines
    deepest = -1  # indentation of the innermost run
    for row, (white, closer, word, more) in enumerate(_LINE.findall(text)):
        words.append(word := word.lower())
        if not (word or closer or more):
            continue
        own = len(white)
        while own < deepest:
            ended.append(runs.pop())
            indents.pop()
            deepest = indents[-1] if indents else -1
        if closer:
            continue
        if own == deepest:
            if word and word >= words[runs[-1][-1]]:
                runs[-1].append(row)
                continue
            ended.append(runs[-1])
            if word:
                runs[-1] = [row]
                continue
            runs.pop()
            indents.pop()
            deepest = indents[-1] if indents else -1
        elif word:
            runs.append([row])
            indents.append(own)
            deepest = own
    return [([words[row] for row in rows], rows) for rows in [*ended, *runs] if len(rows) >= _LEAST]
