"""Copies: constructs that say the same as an earlier one, so that one of them is enough.

Two constructs are copies when their text is equal once white space and their own name are left aside: a function
pasted twice, or pasted and renamed. Look-alikes, equal in structure once every identifier, number and string is left
aside, are only told, not dropped: `get_a` beside `get_b` is how much code is written, and the one that matters may be
either.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable

from cerebrum_edge.condense import kinds
from cerebrum_edge.condense.constructs import Construct, constructs
from cerebrum_edge.condense.terms import wordset
from cerebrum_edge.condense.units import Outline

_LEAST_NESTED = 120  # characters of a copy inside another construct; short ones are idioms, not copies
_LEAST = 12  # at the top level, where whole passages are pasted
_TOKEN = re.compile(r"[^\W\d]\w*|\"[^\"\n]*\"|'[^'\n]*'|\d[\w.]*|[^\w\s]")
_KEYWORDS = wordset(
    "if else elif for while return def class function func fn switch case match try except catch finally with "
    "import from async await yield raise throw new const let var struct enum impl type interface do break continue "
    "go defer select"
)
_LIKE_CHARS = 40_000  # of definitions that are compared by structure: it takes a look at every token


def copies(outline: Outline) -> list[list[Construct]]:
    """Groups of two or more constructs that are copies of each other, in source order."""
    groups: dict[Hashable, list[Construct]] = {}
    for construct, depth in constructs(outline):
        if depth and not kinds.is_definition(outline.lines[construct.first]):
            continue  # two branches that do the same are often edited together
        if outline.chars(construct.first, construct.last) > (_LEAST_NESTED if depth else _LEAST):
            lines = outline.lines[construct.first : construct.last + 1]
            groups.setdefault(kinds.gist(lines, construct.name), []).append(construct)
    return _outermost(group for group in groups.values() if len(group) > 1)


def look_alikes(outline: Outline) -> list[list[Construct]]:
    """Groups of two or more definitions that are equal in structure."""
    heights: dict[
        int, list[Construct]
    ] = {}  # a look at every token takes time, so only those of equal height are given one
    looked_at = 0
    for construct, _ in constructs(outline):
        size = outline.chars(construct.first, construct.last)
        if construct.name and size >= _LEAST_NESTED and (looked_at := looked_at + size) <= _LIKE_CHARS:
            heights.setdefault(construct.last - construct.first, []).append(construct)
    groups: dict[Hashable, list[Construct]] = {}
    for candidates in heights.values():
        for construct in candidates if len(candidates) > 1 else ():
            groups.setdefault(_shape(outline.lines[construct.first : construct.last + 1]), []).append(construct)
    return [group for group in groups.values() if len(group) > 1]


def _shape(lines: list[str]) -> tuple[str, ...]:
    tokens = _TOKEN.findall("\n".join(lines))
    return tuple(token if token in _KEYWORDS or not token[0].isalnum() else "x" for token in tokens)


def _outermost(groups: Iterable[list[Construct]]) -> list[list[Construct]]:
    """Groups without those copies that lie within a larger copy."""
    taken: set[int] = set()
    found = []
    ordered = sorted(groups, key=lambda group: group[0].first - group[0].last)
    for group in ordered:
        left = [construct for construct in group if not taken.issuperset(construct.units)]
        if len(left) > 1:
            found.append(left)
        for construct in left[1:]:
            taken.update(construct.units)
    return found
