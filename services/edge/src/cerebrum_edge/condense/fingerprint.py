"""Copies: constructs that say the same as an earlier one, so that one of them is enough.

Two constructs are copies when their text is equal once white space and their own name are left aside: a function
pasted twice, or pasted and renamed. What differs in more is none: `get_a` beside `get_b` is how much code is written,
and the one that matters may be either.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from cerebrum_edge.condense import kinds
from cerebrum_edge.condense.constructs import Construct, constructs
from cerebrum_edge.condense.units import Outline

_LEAST_NESTED = 120  # characters of a copy inside another construct; short ones are idioms, not copies
_LEAST = 12  # at the top level, where whole passages are pasted


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
