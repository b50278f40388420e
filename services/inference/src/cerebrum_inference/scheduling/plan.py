"""What one step computes: a row for every stream that decodes, and rows of prompts as the time allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# A prompt gains so many rows of advantage a second of waiting: short ones go first, and long ones still come.
_AGEING_ROWS = 200.0


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt that is not computed to its end.

    Attributes:
        slot: whose it is.
        rows: how many are left.
        waited: seconds since its slot took it.
    """

    slot: int
    rows: int
    waited: float


def share_rows(prompts: Sequence[Prompt], rows: int) -> list[tuple[int, int]]:
    """Which slots get how many of `rows` rows: the shortest first, with ageing; each in one piece as far as it goes."""
    shares = []
    for prompt in sorted(prompts, key=lambda one: (one.rows - _AGEING_ROWS * one.waited, one.slot)):
        if rows <= 0:
            break
        take = min(rows, prompt.rows)
        shares.append((prompt.slot, take))
        rows -= take
    return shares
