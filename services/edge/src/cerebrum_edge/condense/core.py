"""The pipeline: locate, outline, drop copies, rank, select, reassemble. Decides everything about a condensation but its
clock.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from cerebrum_edge.condense import assemble, grammars, kinds, markers, splitter, syntax
from cerebrum_edge.condense.constructs import Construct, constructs
from cerebrum_edge.condense.dialect import grammar_of
from cerebrum_edge.condense.fingerprint import copies
from cerebrum_edge.condense.instruction import Region, heading, locate, spoken, unasked
from cerebrum_edge.condense.rank import scores
from cerebrum_edge.condense.select import Selection, order
from cerebrum_edge.condense.terms import Query, query
from cerebrum_edge.condense.units import Block, Outline, Unit, outline, split_lines

Lines = tuple[int, int]
PARSED_CHARS = 64 * 1024  # larger texts are split by indentation: parsing alone would take too long on a small machine
_ATTEMPTS = 6
_ABOUT = 0.5  # difference of scores that is nothing
_IMPORTS_SHARE = 0.1  # of the budget, up to which imports always stay
_NAMED_SHARE = 0.5  # of the budget, that a definition may take because the instruction names it


@dataclass(frozen=True, slots=True)
class Condensed:
    """What is left of a text.

    Attributes:
        text: the condensed text, or the original where nothing was done.
        kept: lines of the input that are in it, as ranges, 1-based, inclusive.
        elided: lines that are not, likewise.
        reason: why nothing was done; None when something was.
        chars: of the input.
        seconds: that it took.
        units: pieces that the code was taken apart into.
        kept_units: those of them that stayed.
        language: of the (largest piece of) code, if it is known.
    """

    text: str
    kept: tuple[Lines, ...]
    elided: tuple[Lines, ...]
    reason: str | None
    chars: int
    seconds: float
    units: int
    kept_units: int
    language: str | None


def untouched(text: str, reason: str, *, units: int = 0, language: str | None = None) -> Condensed:
    count = len(split_lines(text))
    return Condensed(text, ((1, count),) if count else (), (), reason, len(text), 0.0, units, units, language)


def pipeline(
    text: str,
    *,
    instruction: str | None,
    language: str | None,
    focus: int | Lines | None,
    budget: int,
    dedupe: bool = False,
    about: str = "",
    whole_focus: bool = False,
) -> Condensed:
    """See `condense`. `dedupe`: copies go even when the text fits the budget. `about`: more text that says what is
    asked. `whole_focus`: the lines of `focus` stay whatever else fits.
    """
    budget = max(0, budget)
    if len(text) <= budget and not dedupe:
        return untouched(text, "fits the budget", language=language)
    lines = split_lines(text)
    if instruction is None:
        prompt = locate(lines, language)
        regions, asked = prompt.code, prompt.instruction
    else:
        regions = (spoken(lines, Region(0, len(lines) - 1, None), language),) if lines else ()
        asked = instruction
    if not regions:
        return untouched(text, "no code found", language=language)
    main = max(regions, key=lambda region: region.last - region.first)
    near = _focus(focus, len(lines))
    if not asked.strip() and not about:
        asked = heading(lines, regions[0])
        near = near or (None if asked else unasked(regions[-1]))
    whole = _outline(lines, regions)
    asked_for = query(f"{asked}\n{about}")
    found = scores(whole, asked_for, near)
    styles = [
        assemble.Style(
            region.first, region.last, region.language, markers.comment(region.language, lines[region.first :])
        )
        for region in regions
    ]
    ranked = order(whole, found)
    built = constructs(whole)
    first = _first(whole, ranked, built, asked_for, near, budget)
    fixed = [*_between(regions, len(lines)), *([near] if near and whole_focus else [])]
    same = _same(whole, found, built)
    dropped = {unit for construct, _ in same for unit in construct.units}
    plan = _Plan(
        whole,
        fixed,
        [unit for unit in ranked if unit not in dropped],
        [unit for unit in first if unit not in dropped],
        same,
        Selection(whole, _marker_chars(whole, styles), fixed),
    )
    kept, result = _fit(plan, styles, budget, final_newline=text.endswith("\n"))
    if len(result) >= len(text):
        return untouched(text, "nothing to gain", units=len(whole.units), language=main.language)
    stayed = sum(kept[unit.first] for unit in whole.units)
    return Condensed(
        result,
        tuple((first + 1, last + 1) for first, last in assemble.runs(kept)),
        tuple((first + 1, last + 1) for first, last in assemble.gaps(kept)),
        None,
        len(text),
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
    if len(regions) == 1 and regions[0].last - regions[0].first + 1 == len(lines):
        return outlined(lines, regions[0].language, told=regions[0].told)
    whole = outline(lines, ())
    for region in regions:
        part = outlined(lines[region.first : region.last + 1], region.language, told=region.told)
        before = len(whole.blocks)
        for block in part.blocks:
            frame = tuple(row + region.first for row in block.frame)
            parent = block.parent + before if block.parent >= 0 else -1
            whole.blocks.append(Block(block.first + region.first, block.last + region.first, parent, frame))
        for unit in part.units:
            block_ = unit.block + before if unit.block >= 0 else -1
            whole.units.append(Unit(unit.first + region.first, unit.last + region.first, block_))
    return whole


def outlined(lines: list[str], language: str | None, *, told: bool = True) -> Outline:
    """The outline of code in one language. `told`: the language is known, not guessed."""
    text = "\n".join(lines)
    grammar = grammar_of(language, text, told=told)
    if grammar in grammars.LANGUAGES and len(text) <= PARSED_CHARS:
        with contextlib.suppress(grammars.NotCode):
            return outline(lines, syntax.parts(grammars.parse(text, grammar)))
    return outline(lines, splitter.parts(lines))


def _same(
    whole: Outline, found: Sequence[float], built: Sequence[tuple[Construct, int]]
) -> list[tuple[Construct, Construct]]:
    """Of each group of copies, all but one, each with that one: the earliest that scores about as high as any."""
    pairs = []
    for group in copies(whole, built):
        score = {construct: max(found[unit] for unit in construct.units) for construct in group}
        least = max(score.values()) - _ABOUT
        best = next(construct for construct in group if score[construct] >= least)
        pairs += [(construct, best) for construct in group if construct is not best]
    return pairs


def _marker_chars(whole: Outline, styles: Sequence[assemble.Style]) -> int:
    """What a marker takes on average, indentation included."""
    firsts = [whole.lines[unit.first] for unit in whole.units]
    indent = sum(len(line) - len(line.lstrip()) for line in firsts) // max(1, len(firsts))
    return markers.typical(styles[0].comment, min(indent, assemble.DEEPEST_INDENT))


@dataclass(frozen=True, slots=True)
class _Plan:
    """All that decides what stays, but how much. `fixed` are lines that always stay, and `begun` the selection of them;
    `first` are units that go before the `ranked` ones, `same` copies that go, each with the one that stands for it.
    """

    whole: Outline
    fixed: Sequence[Lines]
    ranked: list[int]
    first: list[int]
    same: Sequence[tuple[Construct, Construct]]
    begun: Selection

    def select(self, budget: int) -> bytearray:
        selection = self.begun.copy()
        selection.fill(self.first, budget)
        selection.fill(self.ranked, budget)
        selection.close_gaps()
        selection.fill(self.ranked, budget)
        selection.close_gaps()
        return selection.kept


def _fit(plan: _Plan, styles: Sequence[assemble.Style], budget: int, *, final_newline: bool) -> tuple[bytearray, str]:
    """The lines that stay and the text. Markers are only estimated in advance, so less is tried if they take more."""
    room = budget
    for again in range(_ATTEMPTS):
        kept = plan.select(room)
        result = assemble.assemble(plan.whole, kept, styles, plan.same, budget, final_newline=final_newline)
        over = len(result) - budget
        if over <= 0:
            return kept, result
        room = room - 2 * over if again < _ATTEMPTS // 2 else room // 2
    kept = plan.select(0)
    result = assemble.assemble(plan.whole, kept, styles, plan.same, budget, final_newline=final_newline)
    if len(result) > budget and not any(first <= last for first, last in plan.fixed):
        return bytearray(len(kept)), ""  # not even a marker fits
    return kept, result


def _between(regions: Sequence[Region], count: int) -> list[Lines]:
    """Lines that are no code."""
    found, at = [], 0
    for region in regions:
        found.append((at, region.first - 1))
        at = region.last + 1
    return [*found, (at, count - 1)]


def _first(
    whole: Outline,
    ranked: Sequence[int],
    built: Sequence[tuple[Construct, int]],
    asked: Query,
    near: Lines | None,
    budget: int,
) -> list[int]:
    """Units that stay first: where the edit is, what the instruction names, and imports, if each leaves room."""
    imports = [unit for unit in ranked if kinds.is_import(whole.lines[whole.units[unit].first])]
    size = sum(whole.chars(whole.units[unit].first, whole.units[unit].last) for unit in imports)
    wanted = set(imports) if size <= budget * _IMPORTS_SHARE else set()
    if near:
        wanted.update(
            unit for unit in ranked if whole.units[unit].first <= near[1] and near[0] <= whole.units[unit].last
        )
    if asked.named:
        for construct, _ in built:
            size = whole.chars(construct.first, construct.last)
            if construct.name.lower() in asked.named and size <= budget * _NAMED_SHARE:
                wanted.update(construct.units)
    return [unit for unit in ranked if unit in wanted]
