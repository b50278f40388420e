"""Condensation of a fill-in-the-middle request: what is near the cursor stays whole, far units go."""

from __future__ import annotations

from dataclasses import dataclass

from cerebrum_edge.condense.core import Condensed, pipeline, untouched
from cerebrum_edge.condense.units import split_lines

_NEAR = 0.6  # of each side's budget goes to the lines next to the cursor


@dataclass(frozen=True, slots=True)
class CondensedSides:
    """Each side as by `condense`. The lines next to the cursor are always in them."""

    prefix: Condensed
    suffix: Condensed


def sides(prefix: str, suffix: str, *, language: str | None, budget: int, suffix_share: float) -> CondensedSides:
    """See `condense_fim`. A side that needs less than its share leaves the rest to the other one."""
    for_suffix = min(len(suffix), max(int(budget * suffix_share), budget - len(prefix)))
    for_prefix = budget - for_suffix
    return CondensedSides(
        _side(prefix, language, for_prefix, at_end=True), _side(suffix, language, for_suffix, at_end=False)
    )


def _side(text: str, language: str | None, budget: int, *, at_end: bool) -> Condensed:
    lines = split_lines(text)
    if len(text) <= budget:
        return untouched(text, "fits the budget", language=language)
    order = range(len(lines) - 1, -1, -1) if at_end else range(len(lines))
    left = int(budget * _NEAR)
    near: list[int] = []
    for row in order:
        left -= len(lines[row]) + 1
        if left < 0 and near:
            break
        near.append(row)
    if len(lines[near[0]]) >= budget:
        return untouched(text, "the cursor's line is larger than the budget", language=language)
    focus = (min(near) + 1, max(near) + 1)
    asked = "\n".join(lines[focus[0] - 1 : focus[1]])
    return pipeline(text, instruction=asked, language=language, focus=focus, budget=budget, whole_focus=True)
