"""Where in a prompt the code is and what is asked of it.

Told, in this order, by: fences; marker lines such as `INSTRUCTION:` and `CODE:`; prose before and after code. What is
not code is never touched, and is what the ranking looks for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cerebrum_edge.condense.dialect import language_of
from cerebrum_edge.condense.kinds import is_comment
from cerebrum_edge.language import normalize

_FENCE = re.compile(r"^[ \t]{0,3}(```+|~~~+)[ \t]*([\w+#.-]*)[^`]*$")
_ASKS = re.compile(r"^\W{0,6}(?:instructions?|task|request|question|prompt|todo)\W{0,3}:", re.IGNORECASE)
_SHOWS = re.compile(r"^\W{0,6}(?:code|input|source|context|file|snippet|program)\b[^\n]{0,80}:\W*$", re.IGNORECASE)
_ENDS = re.compile(
    r"^\W{0,6}(?:answer|output|response|result|solution|refactored code|completion)\W{0,3}:?\W*$", re.IGNORECASE
)
_CODE = re.compile(
    r"[{};=]\s*$|^\s*[@#<\\/*}\])]|\w\(|[\w\])]\s*[-+*/%|&:!<>=]?=[^=]|^\s*(?:import|from|def|class|func|fn|use|package|return|if|for|"
    r"while|else|try|end|fi|done|esac|pub|const|let|var|static|struct|type|interface|export|void|int|char|#include)\b(?![^.;{}()=]*[.?]\s*$)"
)
_MOST_REGIONS = 64
_LEAST_CHARS = 200  # of a region that is worth a look
_PROSE_LINES = 40  # lines at either end that may be prose
_LANGUAGE_LINES = 200  # that are looked at
_HEADING_LINES = 6
_ASKED_BY_CODE = 30  # last lines that stand in for an instruction when there is none


@dataclass(frozen=True, slots=True)
class Region:
    """Lines of code (0-based, inclusive) and their language, if it is known; `told`: by the prompt or the caller."""

    first: int
    last: int
    language: str | None
    told: bool = True


@dataclass(frozen=True, slots=True)
class Prompt:
    """`code`: regions in order. `instruction`: the text that is no code, "" for none."""

    code: tuple[Region, ...]
    instruction: str


def locate(lines: Sequence[str], language: str | None = None) -> Prompt:
    """Takes a prompt apart. `language` is that of code which does not say its own."""
    regions = _fenced(lines) or _marked(lines) or _between_prose(lines)
    regions = [region for region in regions if _size(lines, region) >= _LEAST_CHARS][:_MOST_REGIONS]
    told = [spoken(lines, region, language) for region in regions]
    return Prompt(tuple(told), "\n".join(_outside(lines, told)))


def unasked(region: Region) -> tuple[int, int]:
    """Where the work goes on when nothing is asked: the code's last lines (0-based, inclusive)."""
    return max(region.first, region.last - _ASKED_BY_CODE + 1), region.last


def heading(lines: Sequence[str], region: Region) -> str:
    """The comment that code begins with: what is asked may stand there."""
    found = []
    for line in lines[region.first : region.first + _HEADING_LINES]:
        if not is_comment(line):
            break
        found.append(line)
    return "\n".join(found)


def _fenced(lines: Sequence[str]) -> list[Region]:
    found: list[Region] = []
    fence, begin, language = "", 0, ""
    for row, line in enumerate(lines):
        if "```" not in line and "~~~" not in line:
            continue
        told = _FENCE.match(line[:200])
        if not told:
            continue
        if not fence:
            fence, begin, language = told.group(1), row + 1, told.group(2)
        elif told.group(1)[0] == fence[0] and len(told.group(1)) >= len(fence) and not told.group(2):
            found.append(Region(begin, row - 1, normalize(language) or None))
            fence = ""
    if fence and begin < len(lines):
        found.append(Region(begin, len(lines) - 1, normalize(language) or None))
    return [region for region in found if region.first <= region.last]


def _marked(lines: Sequence[str]) -> list[Region]:
    """By marker lines: an instruction is the rest of its line and the paragraph below; `CODE:` ends it too."""
    found: list[Region] = []
    begin, row = 0, 0
    any_marker = False
    while row < len(lines):
        head = lines[row][:200]
        if _ASKS.match(head) or _SHOWS.match(head) or (any_marker and _ENDS.match(head)):
            any_marker = any_marker or not _SHOWS.match(head) or row < _PROSE_LINES
            found.append(Region(begin, row - 1, None))
            if _ASKS.match(head):
                row = _paragraph(lines, row)
            begin = row + 1
        row += 1
    found.append(Region(begin, len(lines) - 1, None))
    if not any_marker:
        return []
    return [region for region in found if region.first <= region.last]


def _paragraph(lines: Sequence[str], row: int) -> int:
    """The last line of the instruction that begins at `row`: up to a blank line, another marker or code."""
    for end in range(row + 1, min(len(lines), row + _PROSE_LINES)):
        line = lines[end][:200]
        if not line.strip() or _SHOWS.match(line) or _CODE.search(line):
            return end - 1
    return min(len(lines) - 1, row + _PROSE_LINES - 1)


def _between_prose(lines: Sequence[str]) -> list[Region]:
    first, last = 0, len(lines) - 1
    for row in range(min(len(lines), _PROSE_LINES)):
        if _prose(lines[row]):
            first = row + 1
        elif lines[row].strip():
            break
    for row in range(len(lines) - 1, max(first, len(lines) - _PROSE_LINES) - 1, -1):
        if _prose(lines[row]):
            last = row - 1
        elif lines[row].strip():
            break
    return [Region(first, last, None)] if first <= last else []


def _prose(line: str) -> bool:
    """Three words or more at the margin, and nothing that code has."""
    return len(line.split(None, 3)) >= 3 and not line[0].isspace() and not _CODE.search(line[:400])


def _size(lines: Sequence[str], region: Region) -> int:
    return sum(len(line) + 1 for line in lines[region.first : region.last + 1])


def spoken(lines: Sequence[str], region: Region, language: str | None) -> Region:
    """The region with its language: what it says itself, else `language`, else what is detected."""
    told = region.language or language
    text = "" if told else "\n".join(lines[region.first : min(region.last + 1, region.first + _LANGUAGE_LINES)])
    return Region(region.first, region.last, language_of(text, told), told is not None)


def _outside(lines: Sequence[str], regions: Sequence[Region]) -> list[str]:
    found: list[str] = []
    at = 0
    for region in regions:
        found += lines[at : region.first]
        at = region.last + 1
    return found + list(lines[at:])
