"""Which lines stay: units in the order of their worth per character, as long as they fit, each with the frames around
it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from cerebrum_edge.condense.units import Outline

_OVERHEAD = 20  # characters that a unit costs besides its own: its share of markers and frames


def order(outline: Outline, scores: Sequence[float]) -> list[int]:
    """Units by expected worth per character, best first; the earlier one of equals."""
    worth = []
    for unit, score in zip(outline.units, scores, strict=True):
        height = unit.last - unit.first + 1
        worth.append(score + math.log(height) - math.log(outline.chars(unit.first, unit.last) + _OVERHEAD))
    return sorted(range(len(worth)), key=lambda index: -worth[index])


class Selection:
    """Lines that stay, and what they and the markers between them take.

    Attributes:
        kept: one byte a line, 1 for those that stay.
        used: characters taken, markers included, each estimated at `marker`.
    """

    def __init__(self, outline: Outline, marker: int, fixed: Iterable[tuple[int, int]] = ()) -> None:
        """`fixed`: runs of lines (inclusive) that stay whatever they cost."""
        self._outline = outline
        self._marker = marker
        self._opened = bytearray(len(outline.blocks))
        self.kept = bytearray(len(outline.lines))
        self.used = marker if outline.lines else 0
        for first, last in fixed:
            self._take([row for row in range(first, last + 1) if not self.kept[row]])

    def fill(self, units: Iterable[int], budget: int) -> None:
        """Keeps each unit that still fits; those that do not are passed over, smaller ones may."""
        for index in units:
            unit = self._outline.units[index]
            if self.kept[unit.first] and self.kept[unit.last]:
                continue
            if self._outline.chars(unit.first, unit.last) - 2 * self._marker > budget - self.used:
                continue
            rows, blocks = self._needed(index)
            if rows and self.used + self._cost(rows) <= budget:
                self._take(rows)
                for block in blocks:
                    self._opened[block] = 1

    def close_gaps(self) -> None:
        """Keeps what is shorter than the marker that would stand for it."""
        offsets, kept, row = self._outline.offsets, self.kept, 0
        while (row := kept.find(0, row)) >= 0:
            end = kept.find(1, row)
            end = len(kept) if end < 0 else end
            size = offsets[end] - offsets[row]
            if size <= self._marker:
                kept[row:end] = b"\1" * (end - row)
                self.used += size - self._marker
            row = end

    def _needed(self, index: int) -> tuple[list[int], list[int]]:
        """Lines not yet kept that the unit needs: its own, the frames around it, blank lines beside them; and those
        blocks.
        """
        outline, kept = self._outline, self.kept
        unit = outline.units[index]
        rows, blocks = set(range(unit.first, unit.last + 1)), []
        block = unit.block
        while block >= 0 and not self._opened[block]:
            blocks.append(block)
            rows.update(outline.blocks[block].frame)
            block = outline.blocks[block].parent
        lines = outline.lines
        for row in tuple(rows):
            for beside in (row - 1, row + 1):
                if 0 <= beside < len(lines) and not lines[beside].strip():
                    rows.add(beside)
        return sorted(row for row in rows if not kept[row]), blocks

    def _cost(self, rows: list[int]) -> int:
        """Characters that the lines add, with the markers that they make necessary or not any more.

        Each run of them lies in one gap, whose marker is paid already; what is left of the gap above and below needs
        one each.
        """
        kept, offsets, last_line = self.kept, self._outline.offsets, len(self.kept) - 1
        cost = gaps = 0
        for at, row in enumerate(rows):
            cost += offsets[row + 1] - offsets[row]
            if at == 0 or rows[at - 1] != row - 1:
                gaps += (row > 0 and not kept[row - 1]) - 1
            if at + 1 == len(rows) or rows[at + 1] != row + 1:
                gaps += row < last_line and not kept[row + 1]
        return cost + gaps * self._marker

    def _take(self, rows: list[int]) -> None:
        self.used += self._cost(rows)
        for row in rows:
            self.kept[row] = 1
