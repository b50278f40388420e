"""Copies: constructs that say the same as an earlier one, so that one of them is enough.

Two constructs are copies when their text is equal once white space and their own name are left aside: a function pasted twice, or
pasted and renamed. Look-alikes, equal in structure once every identifier, number and string is left aside, are only told, not dropped:
`get_a` beside `get_b` is how much code is written, and the one that matters may be either.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from cerebrum_edge.condense import kinds
from cerebrum_edge.condense.units import Outline

_LEAST_NESTED = 120  # characters of a copy inside another construct; short ones are idioms, not copies
_LEAST = 12  # at the top level, where whole passages are pasted
_DEEPEST = 3  # constructs within constructs that are compared
_TOKEN = re.compile(r"[^\W\d]\w*|\"[^\"\n]*\"|'[^'\n]*'|\d[\w.]*|[^\w\s]")
_KEYWORDS = frozenset(
    "if else elif for while return def class function func fn switch case match try except catch finally with import from "
    "async await yield raise throw new const let var struct enum impl type interface do break continue go defer select".split()
)
_LIKE_CHARS = 40_000  # of definitions that are compared by structure: it takes a look at every token


@dataclass(frozen=True, slots=True)
class Stretch:
    """A construct's lines (0-based, inclusive), the units in it, and the name that it defines."""

    first: int
    last: int
    units: range
    name: str


def copies(outline: Outline) -> list[list[Stretch]]:
    """Groups of two or more constructs that are copies of each other, in source order."""
    groups: dict[Hashable, list[Stretch]] = {}
    for stretch, depth in _stretches(outline):
        if depth and not stretch.name:
            continue  # two branches that do the same are often edited together
        text = "\n".join(outline.lines[stretch.first : stretch.last + 1])
        if len(text) >= (_LEAST_NESTED if depth else _LEAST):
            if len(stretch.name) > 1:
                text = text.replace(stretch.name, "\0")
            groups.setdefault(" ".join(text.split()), []).append(stretch)
    return _outermost(group for group in groups.values() if len(group) > 1)


def look_alikes(outline: Outline) -> list[list[Stretch]]:
    """Groups of two or more definitions that are equal in structure."""
    groups: dict[Hashable, list[Stretch]] = {}
    looked_at = 0
    for stretch, _ in _stretches(outline):
        size = outline.chars(stretch.first, stretch.last)
        if not kinds.is_definition(outline.lines[stretch.first]) or size < _LEAST_NESTED:
            continue
        looked_at += size
        if looked_at > _LIKE_CHARS:
            break
        tokens = _TOKEN.findall("\n".join(outline.lines[stretch.first : stretch.last + 1]))
        shape = tuple(token if token in _KEYWORDS or not token[0].isalnum() else "x" for token in tokens)
        groups.setdefault(shape, []).append(stretch)
    return [group for group in groups.values() if len(group) > 1]


def _stretches(outline: Outline) -> list[tuple[Stretch, int]]:
    """Every block that is not too deep and every unit outside of all blocks, a container before its contents."""
    lines, blocks = outline.lines, outline.blocks
    firsts, ends, depths = [-1] * len(blocks), [-1] * len(blocks), [0] * len(blocks)
    found = []
    for index, unit in enumerate(outline.units):
        block = unit.block
        if block < 0:
            found.append((Stretch(unit.first, unit.last, range(index, index + 1), _name(lines, unit.first)), 0))
        while block >= 0:
            if firsts[block] < 0:
                firsts[block] = index
            ends[block] = index
            block = blocks[block].parent
    for index, block_ in enumerate(blocks):
        depths[index] = depths[block_.parent] + 1 if block_.parent >= 0 else 0
        if depths[index] < _DEEPEST and firsts[index] >= 0:
            units = range(firsts[index], ends[index] + 1)
            found.append((Stretch(block_.first, block_.last, units, _name(lines, block_.first)), depths[index]))
    return found


def _name(lines: list[str], row: int) -> str:
    return kinds.name(lines[row]) if kinds.is_definition(lines[row]) else ""


def _outermost(groups: Iterable[list[Stretch]]) -> list[list[Stretch]]:
    """Groups without those copies that lie within a larger copy."""
    taken: set[int] = set()
    found = []
    ordered = sorted(groups, key=lambda group: group[0].first - group[0].last)
    for group in ordered:
        left = [stretch for stretch in group if not taken.issuperset(stretch.units)]
        if len(left) > 1:
            found.append(left)
        for stretch in left[1:]:
            taken.update(stretch.units)
    return found
