"""How likely each unit is one that the instruction's edit needs.

A score is a weighted sum of the unit's signals; its exponential is proportional to the expected number of needed
lines per line. The weights maximise the likelihood of the lines that real commits touched, given their subjects
(`benchmarks/fit_condense.py`); they were checked on repositories that they were not fitted to.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from operator import mul

from cerebrum_edge.condense.counts import count
from cerebrum_edge.condense.openings import openings
from cerebrum_edge.condense.signals import NAMES, signals
from cerebrum_edge.condense.terms import Query
from cerebrum_edge.condense.units import Outline

WEIGHTS = {
    "own": 2.38,
    "beside": 0.11,
    "around": 1.17,
    "header": 1.9,
    "within": 0.62,
    "named": 0.35,
    "defines": 1.72,
    "mentions": 0.8,
    "spelt": 0.83,
    "kin": 0.86,
    "used": 0.5,
    "import": 0.85,
    "comment": -0.51,
    "definition": -0.58,
    "import asked": 1.18,
    "comment asked": 0.55,
    "import style": 0.31,
    "width": 0.41,
    "height": -0.38,
}
_NEAR = 3.0  # what is beside the edit
_NEAR_FADE = 30.0  # lines over which that fades to a third
_OPENING = 2.0  # a place in a sorted list for what is to be added


def scores(outline: Outline, query: Query, focus: tuple[int, int] | None = None) -> list[float]:
    """One score a unit. `focus`: first and last line (0-based) of where the edit happens, if that is known."""
    near = [_distance(unit.first, unit.last, focus) if focus else None for unit in outline.units]
    pinned = [index for index, lines in enumerate(near) if lines == 0]
    weights = tuple(WEIGHTS[name] for name in NAMES)
    found = [
        math.fsum(map(mul, weights, row)) + (_NEAR * math.exp(-lines / _NEAR_FADE) if lines is not None else 0.0)
        for row, lines in zip(signals(outline, count(outline, query), query, pinned), near, strict=True)
    ]
    firsts = [unit.first for unit in outline.units]
    opened = {(bisect_right(firsts, row) - 1, row) for row in openings(outline.text, query)}
    for index in {index for index, row in opened if index >= 0 and row <= outline.units[index].last}:
        found[index] += _OPENING
    return found


def _distance(first: int, last: int, focus: Sequence[int]) -> int:
    return max(0, first - focus[1], focus[0] - last)
