"""The condensed text: lines that stay, byte for byte and in their order, and one marker for each gap."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cerebrum_edge.condense import kinds, markers
from cerebrum_edge.condense.constructs import Construct
from cerebrum_edge.condense.units import Outline

DEEPEST_INDENT = 24
_NEAR = 50  # lines in which the next one with text is looked for
_SHORTEST = len(": f")  # what a marker may be longer for
_LONGEST_NAME = 40
_COPIES = 40  # in a gap, that are looked at
_LOOKED_AT = 400  # lines of a gap that are searched for names


@dataclass(frozen=True, slots=True)
class Style:
    """How markers are written for a run of lines: `first` to `last`, in `language`."""

    first: int
    last: int
    language: str | None
    comment: tuple[str, str]


@dataclass(slots=True)
class _Gap:
    """Elided lines, and their marker: what comes before and after the comment's text, and the whole line."""

    first: int
    last: int
    before: str
    after: str
    comment: tuple[str, str]
    line: str = ""

    def write(self, names: Sequence[str] = (), same: tuple[int, int] | None = None) -> str:
        told = markers.marker(self.last - self.first + 1, names, same, self.comment)
        return f"{self.before}{told}{self.after}"


def gaps(kept: bytearray) -> Iterator[tuple[int, int]]:
    """Runs of lines that do not stay."""
    row = 0
    while (row := kept.find(0, row)) >= 0:
        end = kept.find(1, row)
        end = len(kept) if end < 0 else end
        yield row, end - 1
        row = end


def runs(kept: bytearray) -> Iterator[tuple[int, int]]:
    """Runs of lines that stay."""
    row = 0
    while (row := kept.find(1, row)) >= 0:
        end = kept.find(0, row)
        end = len(kept) if end < 0 else end
        yield row, end - 1
        row = end


def assemble(
    outline: Outline,
    kept: bytearray,
    styles: Sequence[Style],
    same: Sequence[tuple[Construct, Construct]],
    budget: int,
    *,
    final_newline: bool,
) -> str:
    """The text. Markers name what they stand for, the largest gaps first, as far as `budget` goes.

    `same`: what was dropped as a copy, and the copy that was kept instead.
    """
    lines = outline.lines
    found = [_gap(lines, styles, first, last) for first, last in gaps(kept)]
    length = sum(outline.chars(first, last) for first, last in runs(kept))
    left = budget - length - sum(len(gap.line) + 1 for gap in found)
    replaced = sorted(
        (dropped.first, dropped.last, other.first + 1, other.last + 1)
        for dropped, other in same
        if kept[other.first] and kept[other.last]
    )
    for gap in sorted(found, key=lambda gap: gap.first - gap.last):
        if left < _SHORTEST:
            break
        names = _names(lines, gap.first, gap.last)
        twin = _twin(gap, replaced)
        for told in (names, names[:2], names[:1], ()):
            if told or twin:
                line = gap.write(told, twin)
                if len(line) - len(gap.line) <= left:
                    left -= len(line) - len(gap.line)
                    gap.line = line
                    break
    pieces: list[str] = []
    at = 0
    for gap in found:
        pieces += lines[at : gap.first]
        pieces.append(gap.line)
        at = gap.last + 1
    pieces += lines[at:]
    return "\n".join(pieces) + ("\n" if final_newline else "")


def _gap(lines: list[str], styles: Sequence[Style], first: int, last: int) -> _Gap:
    style = styles[max(0, bisect_right(styles, first, key=lambda style: style.first) - 1)]
    shown = lines[_text(lines, range(first, min(last + 1, first + _NEAR)), first)]
    white = shown[: len(shown) - len(shown.lstrip())][:DEEPEST_INDENT]
    if style.language in markers.STATEMENTS:
        before = _text(lines, range(first - 1, max(-1, first - _NEAR), -1), -1)
        after = _text(lines, range(last + 1, min(len(lines), last + _NEAR)), -1)
        white += markers.placeholder(
            style.language, lines[before] if before >= 0 else "", lines[after] if after >= 0 else None, len(white)
        )
    gap = _Gap(first, last, white, "\r" if lines[first].endswith("\r") else "", style.comment)
    gap.line = gap.write()
    return gap


def _text(lines: list[str], rows: range, otherwise: int) -> int:
    """The first of the lines that is not blank."""
    for row in rows:
        if lines[row].strip():
            return row
    return otherwise


def _names(lines: list[str], first: int, last: int) -> list[str]:
    """What the elided lines define, outermost definitions only, each once."""
    found: dict[str, None] = {}
    outermost: float = math.inf
    for line in lines[first : min(last + 1, first + _LOOKED_AT)]:
        indent = len(line) - len(line.lstrip())
        name = kinds.defined(line) if indent <= outermost and indent < len(line) else ""
        if name:
            outermost = indent
            if len(name) <= _LONGEST_NAME:
                found[name] = None
    return list(found)


def _twin(gap: _Gap, replaced: Sequence[tuple[int, int, int, int]]) -> tuple[int, int] | None:
    """Lines (1-based) of what was kept instead of the larger part of the gap."""
    lengths: dict[tuple[int, int], int] = {}
    for first, last, other_first, other_last in replaced[(at := bisect_left(replaced, (gap.first,))) : at + _COPIES]:
        if last <= gap.last:
            lengths[other_first, other_last] = lengths.get((other_first, other_last), 0) + last - first + 1
    most = max(lengths, key=lambda other: lengths[other], default=None)
    return most if most and 2 * lengths[most] > gap.last - gap.first else None
