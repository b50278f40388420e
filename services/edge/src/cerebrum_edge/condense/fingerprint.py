"""Copies: constructs that say the same as an earlier one, so that one of them is enough.

Two constructs are copies when their text is equal once white space and their own name are left aside: a function
pasted twice, or pasted and renamed. What differs in more is none: `get_a` beside `get_b` is how much code is written,
and the one that matters may be either.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cerebrum_edge.condense import kinds
from cerebrum_edge.condense.constructs import Construct
from cerebrum_edge.condense.units import Outline

_LEAST_NESTED = 120  # characters of a copy inside another construct; short ones are idioms, not copies
_LEAST = 12  # at the top level, where whole passages are pasted
_BEGINS = 60  # characters of a gist that most constructs differ in already
_BEGINNING = 200  # of the text, which seldom has less than that in it


def copies(outline: Outline, found: Sequence[tuple[Construct, int]]) -> list[list[Construct]]:
    """Groups of two or more of the constructs `found` that are copies of each other, in source order."""
    alike: dict[str, list[Construct]] = {}
    for construct, depth in found:
        if depth and not kinds.is_definition(outline.lines[construct.first]):
            continue  # two branches that do the same are often edited together
        if outline.chars(construct.first, construct.last) > (_LEAST_NESTED if depth else _LEAST):
            alike.setdefault(_beginning(outline, construct), []).append(construct)
    groups: dict[str, list[Construct]] = {}
    for some in alike.values():
        for construct in some if len(some) > 1 else ():
            text = outline.piece(construct.first, construct.last)
            groups.setdefault(kinds.gist(text, construct.name), []).append(construct)
    return _outermost(group for group in groups.values() if len(group) > 1)


def _beginning(outline: Outline, construct: Construct) -> str:
    """What a construct's gist begins with, from as little of its text as that needs."""
    text = outline.piece(construct.first, construct.last)
    gist = kinds.gist(text[:_BEGINNING], construct.name)
    if len(gist) < _BEGINS + len(construct.name):  # the last word may be the name, cut short
        gist = kinds.gist(text, construct.name)
    return gist[:_BEGINS]


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
