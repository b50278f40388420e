"""Where the code of an answer is, told while the answer still comes.

A state machine over pieces of text. It holds back the start of a line only as long as that may still become a fence
(CommonMark's: at most three spaces, at least three backticks or tildes), and never more than `MOST_HELD` characters,
so a long answer costs what its length is. What comes out is what went in, in order, whatever the pieces were.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "fence", "code"]
MOST_HELD = 200  # a fence's line that is longer is no fence

_PARTS = re.compile(r"[^\n]*\n|[^\n]+")
_MAYBE_FENCE = re.compile(r" {0,3}(?:`{0,2}|~{0,2}|(?:`{3,}|~{3,})[^\n]*)\Z")
_OPENS = re.compile(r" {0,3}(?P<mark>`{3,}|~{3,})[ \t]*(?P<info>[^\n]*)\Z")


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of an answer.

    Attributes:
        language: of code, the word behind its fence; empty where it has none.
    """

    kind: Kind
    text: str
    language: str = ""


class FenceReader:
    """Text in, segments out."""

    def __init__(self) -> None:
        self._held = ""  # the start of a line that may be a fence
        self._at_line_start = True
        self._mark = ""  # the fence that is open
        self._language = ""

    @property
    def held(self) -> int:
        """Characters that wait for what follows them."""
        return len(self._held)

    def feed(self, text: str) -> Iterator[Segment]:
        for part in _PARTS.findall(text):
            yield from self._feed_part(part)

    def finish(self) -> Iterator[Segment]:
        """No more text comes: what was held back is decided by what it is."""
        if self._held:
            yield from self._line(self._held, ended=True)
        self._held = ""

    def _feed_part(self, part: str) -> Iterator[Segment]:
        """A part has at most one line's end, and that last."""
        if not self._at_line_start:
            self._at_line_start = part.endswith("\n")
            yield self._plain(part)
            return
        line = self._held + part
        if not line.endswith("\n") and len(line) <= MOST_HELD and _MAYBE_FENCE.match(line):
            self._held = line
            return
        self._held = ""
        yield from self._line(line, ended=line.endswith("\n"))

    def _line(self, line: str, *, ended: bool) -> Iterator[Segment]:
        """A line, or the start of one that is no fence."""
        self._at_line_start = line.endswith("\n")
        bare = line.removesuffix("\n")
        found = _OPENS.match(bare.rstrip("\r")) if ended and len(bare) <= MOST_HELD else None
        if found is None:
            yield self._plain(line)
        elif self._mark:
            closes = found["mark"].startswith(self._mark) and not found["info"].strip()
            if closes:
                self._mark = ""
            yield Segment("fence", line) if closes else self._plain(line)
        elif found["mark"][0] == "`" and "`" in found["info"]:
            yield self._plain(line)  # ```code``` within a line
        else:
            words = found["info"].split()
            self._mark, self._language = found["mark"], words[0] if words else ""
            yield Segment("fence", line)

    def _plain(self, text: str) -> Segment:
        return Segment("code", text, self._language) if self._mark else Segment("text", text)
