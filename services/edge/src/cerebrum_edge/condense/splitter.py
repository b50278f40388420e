"""Elidable parts by indentation and brackets: for texts that are too large to parse, and languages without a grammar.

A line and the deeper lines below it are a part; lines at its own indentation that close or join (`}`, `else`, `fi`)
belong to its frame. Work is bounded: each line is looked at once per level, and levels are bounded too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cerebrum_edge.condense.units import Part

_JOINT = re.compile(r"[})\]]|(?:else|elif|elsif|except|catch|finally|rescue|ensure|end|fi|done|esac|then|do|in)\b")
_TAB = 4
_DEEPEST = 8


@dataclass(slots=True)
class Run:
    """Lines `first` to `last`; `indents` of all lines of the text, -1 for blank ones."""

    first: int
    last: int
    source: _Source
    depth: int

    def parts(self) -> Sequence[Part]:
        indents = self.source.indents
        own = indents[self.first]
        found: list[Part] = []
        start = -1
        if self.depth >= _DEEPEST:
            return ()
        for row in range(self.first + 1, self.last + 2):
            inside = row <= self.last and (indents[row] > own or (indents[row] < 0 and start >= 0))
            if inside and start < 0:
                start = row
            elif not inside and start >= 0:
                # What ends in a closing parenthesis was the header's arguments, not the body.
                if not (row <= self.last and self.source.lines[row].lstrip().startswith(")")):
                    found += _level(self.source, start, row - 1, self.depth + 1)
                start = -1
        return found


@dataclass(slots=True)
class _Source:
    lines: list[str]
    indents: list[int]


def parts(lines: list[str]) -> Sequence[Part]:
    indents = [
        len(line) - len(stripped) + (line.count("\t", 0, len(line) - len(stripped)) * (_TAB - 1) if "\t" in line else 0)
        if (stripped := line.lstrip())
        else -1
        for line in lines
    ]
    return _level(_Source(lines, indents), 0, len(lines) - 1, 0)


def _level(source: _Source, first: int, last: int, depth: int) -> list[Part]:
    """The parts of a run of lines: each begins where the indentation is back at what it was."""
    indents, lines = source.indents, source.lines
    found: list[Part] = []
    begin, end, base = -1, -1, 0
    for row in range(first, last + 1):
        if indents[row] < 0:
            continue
        if begin >= 0 and (indents[row] > base or (indents[row] == base and _JOINT.match(lines[row].lstrip()))):
            end = row
            continue
        if begin >= 0:
            found.append(Run(begin, end, source, depth))
        begin = end = row
        base = indents[row]
    if begin >= 0:
        found.append(Run(begin, end, source, depth))
    return found
