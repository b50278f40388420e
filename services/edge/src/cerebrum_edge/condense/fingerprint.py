"""Copies: constructs that say the same as an earlier one, so that one of them is enough.

Two constructs are copies when their text is equal once white space and their own name are left aside: a function pasted twice, or
pasted and renamed. Look-alikes, equal in structure once every identifier, number and string is left aside, are only told, not dropped:
`get_a` beside `get_b` is how much code is written, and the one that matters may be either.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable

from cerebrum_edge.condense import kinds
from cerebrum_edge.condense.constructs import Construct, constructs
from cerebrum_edge.condense.units import Outline

_LEAST_NESTED = 120  # characters of a copy inside another construct; short ones are idioms, not copies
_LEAST = 12  # at the top level, where whole passages are pasted
_TOKEN = re.compile(r"[^\W\d]\w*|\"[^\"\n]*\"|'[^'\n]*'|\d[\w.]*|[^\w\s]")
_KEYWORDS = frozenset(
    "if else elif for while return def class function func fn switch case match try except catch finally with import from "
    "async await yield raise throw new const let var struct enum impl type interface do break continue go defer select".split()
)
_LIKE_CHARS = 40_000  # of definitions that are compared by structure: it takes a look at every token


def copies(outline: Outline) -> list[list[Construct]]:
    """Groups of two or more constructs that are copies of each other, in source order."""
    groups: dict[Hashable, list[Construct]] = {}
    for construct, depth in constructs(outline):
        if depth and not construct.name:
            continue  # two branches that do the same are often edited together
        text = "\n".join(outline.lines[construct.first : construct.last + 1])
        if len(text) >= (_LEAST_NESTED if depth else _LEAST):
            if len(construct.name) > 1:
                text = text.replace(construct.name, "\0")
            groups.setdefault(" ".join(text.split()), []).append(construct)
    return _outermost(group for group in groups.values() if len(group) > 1)


def look_alikes(outline: Outline) -> list[list[Construct]]:
    """Groups of two or more definitions that are equal in structure."""
    groups: dict[Hashable, list[Construct]] = {}
    looked_at = 0
    for construct, _ in constructs(outline):
        size = outline.chars(construct.first, construct.last)
        if not kinds.is_definition(outline.lines[construct.first]) or size < _LEAST_NESTED:
            continue
        looked_at += size
        if looked_at > _LIKE_CHARS:
            break
        tokens = _TOKEN.findall("\n".join(outline.lines[construct.first : construct.last + 1]))
        shape = tuple(token if token in _KEYWORDS or not token[0].isalnum() else "x" for token in tokens)
        groups.setdefault(shape, []).append(construct)
    return [group for group in groups.values() if len(group) > 1]


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
