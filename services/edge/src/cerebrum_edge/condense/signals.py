"""What speaks for a unit: a tuple of numbers each, about 0 to 1, in the order of `NAMES`. `rank` weighs them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from cerebrum_edge.condense import kinds
from cerebrum_edge.condense.counts import Counts
from cerebrum_edge.condense.terms import Query, parts, stem, wordset
from cerebrum_edge.condense.units import Outline

NAMES = (
    "own",  # BM25 of the unit, as a part of the best one's
    "beside",  # that of the better neighbour
    "around",  # that of all units, fading over some 15 lines
    "header",  # that of the enclosing headers, fading outwards
    "within",  # the share of the query that the enclosing block holds
    "named",  # the instruction names the enclosing definition as an identifier
    "defines",  # the instruction names what the unit itself defines
    "mentions",  # the unit mentions an identifier that the instruction names
    "spelt",  # every part of the enclosing definition's name is a word of the instruction
    "kin",  # rare words that the best units use too
    "used",  # the best units use the enclosing definition
    "import",
    "comment",
    "definition",
    "import asked",  # an import, and the instruction speaks of imports
    "comment asked",
    "import style",  # an import, and the instruction speaks of formatting
    "width",  # logarithm of characters a line
    "height",  # logarithm of lines
)
_STYLE = wordset("lint linter linting format formatting gofmt whitespace style typo typos")
_IMPORTS = wordset("import imports importing module dependency dependencies package export")
_COMMENTS = wordset(
    "comment comments doc docs document documentation docstring clarify typo spell readme explain describe note"
)
_FADE = 15.0  # lines over which relevance fades to a third
_BEST = 3  # units whose words tell what else belongs
_OUTWARDS = 0.6

Signals = tuple[float, ...]


def signals(outline: Outline, counts: Counts, query: Query, pinned: Sequence[int] = ()) -> list[Signals]:
    """One tuple a unit. `pinned`: units that are known to be needed; what they use counts as what the best ones use."""
    units, lines = outline.units, outline.lines
    own, headers = counts.relevance(counts.units), counts.relevance(counts.frames)
    top = max(max(own, default=0.0), max(headers, default=0.0)) or 1.0
    own = [score / top for score in own]
    around = _faded(outline, own)
    highest = max(around, default=0.0) or 1.0
    best = sorted((unit for unit in range(len(units)) if own[unit] > 0), key=lambda unit: -own[unit])[:_BEST]
    best = [*pinned, *(unit for unit in best if unit not in pinned)]
    kin = _kin(counts, own, best)
    inside = _blocks(outline, counts, query, [score / top for score in headers], best)
    asked = (
        bool(query.words & _IMPORTS),
        bool(query.words & _COMMENTS),
        bool(query.words & _STYLE),
    )
    found: list[Signals] = []
    for index, unit in enumerate(units):
        first = lines[unit.first]
        height = unit.last - unit.first + 1
        header, within, named, spelt, used = inside[unit.block]
        imports, comment, definition = kinds.is_import(first), kinds.is_comment(first), kinds.is_definition(first)
        defined = kinds.name(first) if definition else ""
        found.append(
            (
                own[index],
                max(own[index - 1] if index else 0.0, own[index + 1] if index + 1 < len(own) else 0.0),
                around[index] / highest,
                header,
                within,
                named,
                1.0 if defined and defined.lower() in query.named else 0.0,
                0.0 if counts.named.isdisjoint(counts.units[index].words) else 1.0,
                spelt,
                kin[index],
                used,
                1.0 if imports else 0.0,
                1.0 if comment else 0.0,
                1.0 if definition else 0.0,
                1.0 if imports and asked[0] else 0.0,
                1.0 if comment and asked[1] else 0.0,
                1.0 if imports and asked[2] else 0.0,
                math.log(outline.chars(unit.first, unit.last) / height + 1) - 3.5,
                math.log(height),
            )
        )
    return found


def _faded(outline: Outline, own: list[float]) -> list[float]:
    """Relevance of all other units, each fading with its distance. Two passes, so linear."""
    units = outline.units
    found = [0.0] * len(units)
    for order in (range(len(units)), range(len(units) - 1, -1, -1)):
        carried, before = 0.0, -1
        for index in order:
            if before >= 0:
                carried = (carried + own[before]) * math.exp(-abs(units[index].first - units[before].first) / _FADE)
            found[index] += carried
            before = index
    return found


def _kin(counts: Counts, own: list[float], best: list[int]) -> list[float]:
    """The share of the best units' rare words that each unit has."""
    asked = {word for unit in best for word in counts.units[unit].words if len(word) > 3}
    shared = [asked.intersection(said.words) for said in counts.units]
    held: Counter[str] = Counter()
    for words in shared:
        held.update(words)
    common = max(3.0, len(shared) * 0.15)
    wanted: dict[str, float] = {}
    for unit in best:
        for word in shared[unit]:
            if 1 < held[word] < common:
                wanted[word] = wanted.get(word, 0.0) + (own[unit] or 1.0) * math.log(len(shared) / held[word])
    total = math.fsum(wanted.values()) or 1.0
    return [math.fsum([wanted[word] for word in words if word in wanted]) / total for words in shared]


def _blocks(
    outline: Outline, counts: Counts, query: Query, headers: list[float], best: list[int]
) -> dict[int, tuple[float, float, float, float, float]]:
    """header, within, named, spelt, used of every block; of -1, where no block is, nothing."""
    used = {word for unit in best for word in counts.units[unit].words if len(word) > 3}
    found = {-1: (0.0, 0.0, 0.0, 0.0, 0.0)}
    for index, block in enumerate(outline.blocks):
        name = kinds.name(outline.lines[block.frame[0]]) if block.frame else ""
        outer = found[block.parent]
        found[index] = (
            max(headers[index], _OUTWARDS * outer[0]),
            counts.share(counts.blocks[index]),
            max(1.0 if name.lower() in query.named else 0.0, 0.5 * outer[2]),
            max(_spelt(query, parts(name)), 0.5 * outer[3]),
            1.0 if name in used else 0.0,
        )
    return found


def _spelt(query: Query, name: list[str]) -> float:
    if not name or any(stem(part) not in query.stems for part in name):
        return 0.0
    return 1.0 if len(name) > 1 else 0.5
