"""The ranges of the guards' figures. Checked where the figures are held, since several of them bound one another."""

from __future__ import annotations

import math


def check(name: str, given: float, *, least: float, most: float = math.inf, above: bool = False) -> None:
    """Lets a figure pass from `least` (or above it only) to `most`.

    Raises:
        ValueError: it is outside, or no number; the text has its name, the figure and the range.
    """
    if not (given > least or (given == least and not above)) or given > most:
        bounds = f"{'above' if above else 'at least'} {least:g}" + (f" and at most {most:g}" if most < math.inf else "")
        raise ValueError(f"{name} is {given:g}; it has to be {bounds}.")
