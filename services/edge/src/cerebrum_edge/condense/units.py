"""The outline of a source text: what can be elided, and what must stay when something inside it stays.

Line numbers are 0-based and inclusive here; the package's door turns them into 1-based ones. A unit is the smallest
piece that is kept or elided. A block is a construct (a class, a function, a branch) whose frame, that is its header,
joints and closing lines, is kept whenever any unit inside is, so that what is left can still be parsed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

from cerebrum_edge.condense import kinds

UNIT_CHARS = 300  # statements are gathered up to this size, constructs above it are opened
_UNITS = 250  # of a text that is so large that units must be larger, so that work grows with lines and not with pieces
_LARGEST = 2_500


class Part(Protocol):
    """A run of whole lines that may be elided, which knows the elidable runs within itself."""

    @property
    def first(self) -> int: ...

    @property
    def last(self) -> int: ...

    def parts(self) -> Sequence[Part]: ...


@dataclass(slots=True)
class Block:
    """A construct with elidable insides. `frame` are the lines outside of them; `parent` an index of a block, or -1."""

    first: int
    last: int
    parent: int
    frame: tuple[int, ...]


@dataclass(slots=True)
class Unit:
    """Lines that are kept or elided together. `block` is the index of the innermost block around them, or -1."""

    first: int
    last: int
    block: int


@dataclass(slots=True)
class Outline:
    """Units in source order, the blocks around them (a parent before its children), and the lines that both speak of.

    Attributes:
        lines: the text's lines without their `\\n`.
        text: the lines as one.
        offsets: characters before each line, one entry more than there are lines.
    """

    lines: list[str]
    text: str
    offsets: list[int]
    blocks: list[Block]
    units: list[Unit]

    def chars(self, first: int, last: int) -> int:
        return self.offsets[last + 1] - self.offsets[first]

    def piece(self, first: int, last: int) -> str:
        return self.text[self.offsets[first] : self.offsets[last + 1] - 1]


def split_lines(text: str) -> list[str]:
    """Lines as editors number them: cut at `\\n` alone, so that `\\r` stays where it was."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return lines


def outline(lines: list[str], parts: Sequence[Part], unit_chars: int = UNIT_CHARS) -> Outline:
    """Opens every part that is larger than `unit_chars`, and gathers small neighbours up to that."""
    built = Outline(lines, "\n".join(lines), [0, *accumulate(len(line) + 1 for line in lines)], [], [])
    _add(built, parts, -1, min(max(unit_chars, built.offsets[-1] // _UNITS), _LARGEST))
    return built


def _add(built: Outline, parts: Sequence[Part], parent: int, unit_chars: int) -> None:
    gathered: Unit | None = None
    repeated = _repeated(built, parts, unit_chars)
    for part in parts:
        inner = part.parts() if built.chars(part.first, part.last) > unit_chars else ()
        if inner:
            gathered = None
            built.blocks.append(Block(part.first, part.last, parent, _frame(built.lines, part, inner)))
            _add(built, inner, len(built.blocks) - 1, unit_chars)
        elif part.first in repeated:
            gathered = None
            built.units.append(Unit(part.first, part.last, parent))
        elif gathered and part.first == gathered.last + 1 and built.chars(gathered.first, part.last) <= unit_chars:
            gathered.last = part.last
        else:
            gathered = Unit(part.first, part.last, parent)
            built.units.append(gathered)


def _repeated(built: Outline, parts: Sequence[Part], unit_chars: int) -> set[int]:
    """First lines of small definitions that are there twice or more: each a unit, so that one can stand for all."""
    found: dict[str, list[int]] = {}
    for part in parts:
        if part.last > part.first and built.chars(part.first, part.last) <= unit_chars:
            name = kinds.defined(built.lines[part.first])
            if name:
                found.setdefault(kinds.gist(built.piece(part.first, part.last), name), []).append(part.first)
    return {first for firsts in found.values() if len(firsts) > 1 for first in firsts}


def _frame(lines: list[str], part: Part, inner: Sequence[Part]) -> tuple[int, ...]:
    rows: list[int] = []
    at = part.first
    for piece in inner:
        rows += range(at, piece.first)
        at = piece.last + 1
    rows += range(at, part.last + 1)
    return tuple(row for row in rows if lines[row].strip())
