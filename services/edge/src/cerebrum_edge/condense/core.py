"""The pipeline: locate, outline, drop copies, rank, select, reassemble. Decides everything about a condensation but its clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cerebrum_edge.condense import assemble, grammars, markers, splitter, syntax
from cerebrum_edge.condense.fingerprint import Stretch, copies
from cerebrum_edge.condense.instruction import Region, locate, unasked
from cerebrum_edge.condense.rank import scores
from cerebrum_edge.condense.select import Selection, order
from cerebrum_edge.condense.terms import query
from cerebrum_edge.condense.units import Block, Outline, Unit, outline, split_lines

Lines = tuple[int, int]
PARSED_CHARS = 64 * 1024  # larger texts are split by indentation: parsing alone would take too long on a small machine
_ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class Condensed:
    """What is left of a text.

    Attributes:
        text: the condensed text, or the original where nothing was done.
        kept: lines of the input that are in it, as ranges, 1-based, inclusive.
        elided: lines that are not, likewise.
        reason: why nothing was done; None when something was.
        seconds: that it took.
        units: pieces that the code was taken apart into.
        kept_units: those of them that stayed.
        language: of the (largest piece of) code, if it is known.
    """

    text: str
    kept: tuple[Lines, ...]
    elided: tuple[Lines, ...]
    reason: str | None
    seconds: float
    units: int
    kept_units: int
    language: str | None


def untouched(text: str, reason: str, *, units: int = 0, language: str | None = None) -> Condensed:
    count = len(split_lines(text))
    return Condensed(text, ((1, count),) if count else (), (), reason, 0.0, units, units, language)


def pipeline(
    text: str, *, instruction: str | None, language: str | None, focus: int | Lines | None, budget: int, dedupe: bool
) -> Condensed:
    """See `condense`. `dedupe`: copies go even when the text fits the budget."""
    if len(text) <= budget and not dedupe:
        return untouched(text, "fits the budget", language=language)
    lines = split_lines(text)
    if instruction is None:
        prompt = locate(lines, language)
        regions, asked = prompt.code, prompt.instruction
    else:
        regions, asked = (Region(0, len(lines) - 1, language),) if lines else (), instruction
    if not regions:
        return untouched(text, "no code found", language=language)
    main = max(regions, key=lambda region: region.last - region.first)
    near = _focus(focus, len(lines)) or (None if asked.strip() else unasked(lines, regions[-1]))
    whole = _outline(lines, regions)
    found = scores(whole, query(asked), near)
    styles = [
        assemble.Style(region.first, region.last, region.language, markers.comment(region.language, lines[region.first :]))
        for region in regions
    ]
    plan = _Plan(whole, regions, order(whole, found), near, _same(whole, found), _marker_chars(whole, styles))
    room = budget
    for attempt in range(_ATTEMPTS + 1):
        kept = plan.select(room)
        result = assemble.assemble(whole, kept, styles, plan.same, budget, final_newline=text.endswith("\n"))
        if len(result) <= budget:
            break
        room = room - 2 * (len(result) - budget) if attempt + 2 < _ATTEMPTS else room // 2 if attempt + 1 < _ATTEMPTS else 0
    if len(result) >= len(text):
        return untouched(text, "nothing to gain", units=len(whole.units), language=main.language)
    stayed = sum(kept[unit.first] for unit in whole.units)
    return Condensed(
        result,
        tuple((first + 1, last + 1) for first, last in assemble.runs(kept)),
        tuple((first + 1, last + 1) for first, last in assemble.gaps(kept)),
        None,
        0.0,
        len(whole.units),
        stayed,
        main.language,
    )


def _focus(focus: int | Lines | None, count: int) -> Lines | None:
    """0-based, within the text."""
    if focus is None or not count:
        return None
    first, last = (focus, focus) if isinstance(focus, int) else (min(focus), max(focus))
    return min(max(first, 1), count) - 1, min(max(last, 1), count) - 1


def _outline(lines: list[str], regions: Sequence[Region]) -> Outline:
    """One outline of all regions; lines outside of them belong to no unit."""
    whole = outline(lines, ())
    for region in regions:
        part = _outlined(lines[region.first : region.last + 1], region.language)
        before = len(whole.blocks)
        for block in part.blocks:
            frame = tuple(row + region.first for row in block.frame)
            parent = block.parent + before if block.parent >= 0 else -1
            whole.blocks.append(Block(block.first + region.first, block.last + region.first, parent, frame))
        for unit in part.units:
            block_ = unit.block + before if unit.block >= 0 else -1
            whole.units.append(Unit(unit.first + region.first, unit.last + region.first, block_))
    return whole


def _outlined(lines: list[str], language: str | None) -> Outline:
    text = "\n".join(lines)
    if language in grammars.LANGUAGES and len(text) <= PARSED_CHARS:
        return outline(lines, syntax.parts(grammars.parse(text, language)))
    return outline(lines, splitter.parts(lines))


def _same(whole: Outline, found: Sequence[float]) -> list[tuple[Stretch, Stretch]]:
    """Of each group of copies, all but the one that scores highest (the earliest of equals), each with that one."""
    pairs = []
    for group in copies(whole):
        best = max(group, key=lambda stretch: max(found[unit] for unit in stretch.units))
        pairs += [(stretch, best) for stretch in group if stretch is not best]
    return pairs


def _marker_chars(whole: Outline, styles: Sequence[assemble.Style]) -> int:
    """What a marker takes on average, indentation included."""
    firsts = [whole.lines[unit.first] for unit in whole.units]
    indent = sum(len(line) - len(line.lstrip()) for line in firsts) // max(1, len(firsts))
    return markers.typical(styles[0].comment, min(indent, assemble.DEEPEST_INDENT))


@dataclass(frozen=True, slots=True)
class _Plan:
    """All that decides what stays, but how much: `same` are copies that go, each with the one that stands for it."""

    whole: Outline
    regions: Sequence[Region]
    ranked: list[int]
    near: Lines | None
    same: Sequence[tuple[Stretch, Stretch]]
    marker: int

    def select(self, budget: int) -> bytearray:
        dropped = {unit for stretch, _ in self.same for unit in stretch.units}
        ranked = [unit for unit in self.ranked if unit not in dropped]
        selection = Selection(self.whole, self.marker, self._fixed())
        if self.near:
            selection.fill([unit for unit in ranked if _touches(self.whole.units[unit], self.near)], budget)
        selection.fill(ranked, budget)
        selection.close_gaps()
        selection.fill(ranked, budget)
        selection.close_gaps()
        return selection.kept

    def _fixed(self) -> list[Lines]:
        """Lines that are no code."""
        found, at = [], 0
        for region in self.regions:
            found.append((at, region.first - 1))
            at = region.last + 1
        return [*found, (at, len(self.whole.lines) - 1)]


def _touches(unit: Unit, near: Lines) -> bool:
    return unit.first <= near[1] and near[0] <= unit.last
