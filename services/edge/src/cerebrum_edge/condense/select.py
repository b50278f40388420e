"""Which lines stay: units in the order of their worth per character, as long as they fit, each with the frames around
it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from copy import copy

from cerebrum_edge.condense.units import Outline

Span = tuple[int, int]  # lines from the first up to, but without, the second
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
        self._spans = [_with_blanks(outline.lines, unit.first, unit.last + 1) for unit in outline.units]
        self._frames: dict[int, list[Span]] = {}
        self.kept = bytearray(len(outline.lines))
        self.used = marker if outline.lines else 0
        for first, last in fixed:
            self._take(self._missing([(first, last + 1)]))

    def copy(self) -> Selection:
        """One that goes on by itself from here."""
        other = copy(self)
        other._opened, other.kept = self._opened[:], self.kept[:]
        return other

    def fill(self, units: Iterable[int], budget: int) -> None:
        """Keeps each unit that still fits; those that do not are passed over, smaller ones may."""
        outline, kept, offsets = self._outline, self.kept, self._outline.offsets
        least = 2 * self._marker  # what a unit may save by closing the gaps beside it
        for index in units:
            unit = outline.units[index]
            if kept[unit.first] and kept[unit.last]:
                continue
            if offsets[unit.last + 1] - offsets[unit.first] - least > budget - self.used:
                continue
            spans, blocks = [self._spans[index]], []
            block = unit.block
            while block >= 0 and not self._opened[block]:
                blocks.append(block)
                spans += self._frame(block)
                block = outline.blocks[block].parent
            missing = self._missing(spans)
            if missing and self.used + self._cost(missing) <= budget:
                self._take(missing)
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

    def _frame(self, block: int) -> list[Span]:
        """The block's frame, with blank lines beside it."""
        spans = self._frames.get(block)
        if spans is None:
            spans = self._frames[block] = []
            rows = self._outline.blocks[block].frame
            begin = 0
            for end in range(1, len(rows) + 1):
                if end == len(rows) or rows[end] != rows[end - 1] + 1:
                    spans.append(_with_blanks(self._outline.lines, rows[begin], rows[end - 1] + 1))
                    begin = end
        return spans

    def _missing(self, spans: list[Span]) -> list[Span]:
        """Their lines that are not kept yet, as runs in order."""
        kept = self.kept
        missing: list[Span] = []
        reached = 0
        for first, end in sorted(spans) if len(spans) > 1 else spans:
            row = kept.find(0, max(first, reached), end)
            while row >= 0:
                upto = kept.find(1, row, end)
                upto = end if upto < 0 else upto
                if missing and missing[-1][1] == row:
                    missing[-1] = missing[-1][0], upto
                else:
                    missing.append((row, upto))
                row = kept.find(0, upto, end)
            reached = max(reached, end)
        return missing

    def _cost(self, missing: list[Span]) -> int:
        """Characters that the lines add, with the markers that they make necessary or not any more.

        Each run of them lies in one gap, whose marker is paid already; what is left of the gap above and below needs
        one each.
        """
        kept, offsets, count = self.kept, self._outline.offsets, len(self.kept)
        cost = gaps = 0
        for first, end in missing:
            cost += offsets[end] - offsets[first]
            gaps += (first > 0 and not kept[first - 1]) + (end < count and not kept[end]) - 1
        return cost + gaps * self._marker

    def _take(self, missing: list[Span]) -> None:
        self.used += self._cost(missing)
        for first, end in missing:
            self.kept[first:end] = b"\1" * (end - first)


def _with_blanks(lines: list[str], first: int, end: int) -> Span:
    """With the blank line above and the one below, where there are any."""
    if first > 0 and not lines[first - 1].strip():
        first -= 1
    if end < len(lines) and not lines[end].strip():
        end += 1
    return first, end
