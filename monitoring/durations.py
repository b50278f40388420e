"""Durations as Prometheus writes them, and the same shortened for a lab."""

from __future__ import annotations

import re

SCRAPE_SECONDS = 15
EVALUATION_SECONDS = 15
# A rate needs samples: a window never gets shorter than four scrapes.
_SHORTEST_WINDOW = 4 * SCRAPE_SECONDS
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+)([smhd])")
_WINDOW = re.compile(r"\[(\d+[smhd])\]")


def seconds(duration: str) -> int:
    """`90s`, `5m`, `1h` or `3d` in seconds."""
    found = _DURATION.fullmatch(duration)
    if found is None:
        raise ValueError(f"duration {duration!r}: wanted is a whole number and one of s, m, h, d")
    return int(found[1]) * _UNITS[found[2]]


def text(amount: float) -> str:
    """Seconds in the largest unit that holds them whole; Prometheus has no fractions of one."""
    whole = round(amount)
    for unit in ("d", "h", "m"):
        if whole and whole % _UNITS[unit] == 0:
            return f"{whole // _UNITS[unit]}{unit}"
    return f"{whole}s"


def spoken(amount: int) -> str:
    minutes, rest = divmod(amount, 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def scaled(duration: str, scale: float, *, least: int = 0) -> str:
    return duration if scale == 1 else text(max(least, seconds(duration) * scale))


def scaled_windows(expr: str, scale: float) -> str:
    """The expression with its range selectors shortened."""
    return _WINDOW.sub(lambda found: f"[{scaled(found[1], scale, least=_SHORTEST_WINDOW)}]", expr)
