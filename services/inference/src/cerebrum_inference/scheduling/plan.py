"""What one step computes: a row for every stream that decodes, and rows of prompts as the time allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# A prompt gains so many rows of advantage a second of waiting: short ones go first, and long ones still come.
_AGEING_ROWS = 200.0
# Requests that come within that time came together: those of them that have no token yet go first.
_TOGETHER_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt that is not computed to its end.

    Attributes:
        slot: whose it is.
        rows: how many are left.
        size: how many there were.
        asked: when it came.
        waited: seconds since its slot took it.
    """

    slot: int
    rows: int
    size: int
    asked: float
    waited: float


def came_together(prompts: Sequence[Prompt], oldest_stream: float, most_rows: int) -> list[Prompt]:
    """The prompts that need not make way for the streams that run, in one step of at most `most_rows` rows.

    Streams are protected from the prompts that come behind them. Of requests that came at one time some get their
    first token before the others; these have nothing yet, and go first where all of them are one step: the rest of a
    long prompt is as long a wait as any other part of it.

    Args:
        oldest_stream: when the first of the running streams came.
    """
    together = [prompt for prompt in prompts if prompt.asked <= oldest_stream + _TOGETHER_SECONDS]
    return together if sum(prompt.size for prompt in together) <= most_rows else []


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
