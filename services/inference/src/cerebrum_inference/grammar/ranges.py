"""Whole numbers between two bounds, digit by digit."""

from __future__ import annotations

MOST = 10**16 - 1  # no number has more digits, so that a model cannot write digits for ever


def integers(low: int | None, high: int | None) -> str | None:
    """GBNF of the whole numbers from `low` to `high`, both included; None where there are none.

    Bounds beyond 16 digits become 16 digits: every number that is written still lies between the bounds.
    """
    low = -MOST if low is None else max(low, -MOST)
    high = MOST if high is None else min(high, MOST)
    found: list[str] = []
    if low < 0:
        found += [f'"-" {digits}' for digits in _between(max(1, -high), -low)]
    if high >= 0:
        found += _between(max(0, low), high)
    return " | ".join(found) or None


def _between(low: int, high: int) -> list[str]:
    found: list[str] = []
    for size in range(len(str(low)), len(str(high)) + 1):
        start = max(low, 10 ** (size - 1) if size > 1 else 0)
        end = min(high, 10**size - 1)
        if start <= end:
            found += _same_length(str(start), str(end))
    return found


def _same_length(low: str, high: str) -> list[str]:
    if low == high:
        return [f'"{low}"'] if low else [""]
    if set(low) == {"0"} and set(high) == {"9"}:
        return [f"[0-9]{{{len(low)}}}"]
    first, last, rest = int(low[0]), int(high[0]), len(low) - 1
    if first == last:
        return [_join(f'"{first}"', tail) for tail in _same_length(low[1:], high[1:])]
    if not rest:
        return [f"[{first}-{last}]"]
    found: list[str] = []
    if set(low[1:]) != {"0"}:
        found += [_join(f'"{first}"', tail) for tail in _same_length(low[1:], "9" * rest)]
        first += 1
    upper: list[str] = []
    if set(high[1:]) != {"9"}:
        upper = [_join(f'"{last}"', tail) for tail in _same_length("0" * rest, high[1:])]
        last -= 1
    if first <= last:
        found.append(f"[{first}-{last}] [0-9]{{{rest}}}")
    return found + upper


def _join(head: str, tail: str) -> str:
    return f"{head} {tail}".rstrip()
