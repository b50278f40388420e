"""An outline's blocks and outermost units as constructs: their lines, their units, the name that they define."""

from __future__ import annotations

from typing import NamedTuple

from cerebrum_edge.condense import kinds
from cerebrum_edge.condense.units import Outline

_DEEPEST = 3  # constructs within constructs that are looked at


class Construct(NamedTuple):
    """A construct's lines (0-based, inclusive), the units in it, and the name that it defines."""

    first: int
    last: int
    units: range
    name: str


def constructs(outline: Outline) -> list[tuple[Construct, int]]:
    """Every block that is not too deep and every unit outside of all blocks, a container before its contents."""
    lines, blocks = outline.lines, outline.blocks
    firsts, ends, depths = [-1] * len(blocks), [-1] * len(blocks), [0] * len(blocks)
    found = []
    for index, unit in enumerate(outline.units):
        block = unit.block
        if block < 0:
            found.append(
                (Construct(unit.first, unit.last, range(index, index + 1), kinds.defined(lines[unit.first])), 0)
            )
        elif ends[block] < 0:
            firsts[block] = ends[block] = index
        else:
            ends[block] = index
    for index in range(len(blocks) - 1, -1, -1):  # a parent comes before its children
        outer = blocks[index].parent
        if outer >= 0 and firsts[index] >= 0:
            firsts[outer] = min(firsts[outer], firsts[index]) if firsts[outer] >= 0 else firsts[index]
            ends[outer] = max(ends[outer], ends[index])
    for index, block_ in enumerate(blocks):
        depths[index] = depths[block_.parent] + 1 if block_.parent >= 0 else 0
        if depths[index] < _DEEPEST and firsts[index] >= 0:
            units = range(firsts[index], ends[index] + 1)
            found.append(
                (Construct(block_.first, block_.last, units, kinds.defined(lines[block_.first])), depths[index])
            )
    return found
