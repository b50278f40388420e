"""Which of the prefixes that are already computed serves a prompt best, and which one has to go when room is short."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

_STRIDE = 64
# Below that, computing again costs less than the bookkeeping of a copy.
WORTH_SHARING = 16
WORTH_RESTORING = 64
# A slot whose own prefix would lose more than this share of its tokens is left as it is, and copied from.
_LOSS = 0.25


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """The number of equal tokens at the beginning."""
    most = min(len(left), len(right))
    size = 0
    while size + _STRIDE <= most and left[size : size + _STRIDE] == right[size : size + _STRIDE]:
        size += _STRIDE
    while size < most and left[size] == right[size]:
        size += 1
    return size


@dataclass(frozen=True, slots=True)
class Holder:
    """A sequence with computed tokens.

    Attributes:
        state: `idle` may be taken over, `busy` and `pinned` only copied from.
        used: when it was last used; the smallest goes first.
    """

    sequence: int
    tokens: Sequence[int]
    state: Literal["idle", "busy", "pinned"]
    used: float


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a prompt goes.

    Attributes:
        target: the sequence that takes it.
        source: whose cells are shared with it first; None where the target's own are kept, or nothing.
        keep: how many tokens are then there already.
    """

    target: int
    source: int | None
    keep: int


def place(prompt: Sequence[int], holders: Iterable[Holder]) -> Placement | None:
    """The sequence for a prompt, and what it need not compute; None where no sequence is idle.

    The prompt's last token is always computed, because its logits choose the first new one.
    """
    usable = prompt[:-1]
    matches = [(common_prefix(holder.tokens, usable), holder) for holder in holders]
    idle = [(size, holder) for size, holder in matches if holder.state == "idle"]
    if not idle:
        return None
    best, source = max(matches, key=lambda match: (match[0], match[1].state == "idle", match[1].used))
    if best < WORTH_SHARING:
        return _oldest(idle)
    if source.state == "idle" and len(source.tokens) - best <= _LOSS * len(source.tokens):
        return Placement(source.sequence, None, best)
    others = [(size, holder) for size, holder in idle if holder is not source]
    if not others:
        return Placement(source.sequence, None, best)
    return Placement(_oldest(others).target, source.sequence, best)


def _oldest(idle: Sequence[tuple[int, Holder]]) -> Placement:
    """An empty sequence, or the longest unused one with what it happens to have in common."""
    size, holder = min(idle, key=lambda match: (len(match[1].tokens) > 0, match[1].used))
    return Placement(holder.sequence, None, size)


def to_evict(holders: Iterable[Holder], *, most_tokens: int) -> list[int]:
    """The idle sequences that must go so that at most `most_tokens` idle tokens stay, the longest unused first."""
    idle = sorted((one for one in holders if one.state == "idle" and one.tokens), key=lambda one: one.used)
    total = sum(len(one.tokens) for one in idle)
    gone = []
    for one in idle:
        if total <= most_tokens:
            break
        gone.append(one.sequence)
        total -= len(one.tokens)
    return gone
