"""Limits of memory as units have them."""

from __future__ import annotations

from collections.abc import Callable

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def memory_limit_mib(limit: object, total_mib: int) -> int:
    """What systemd makes of a `MemoryMax` on a host with `total_mib` of memory, in MiB.

    Args:
        limit: bytes, also with K, M, G or T behind them, a percentage, or `infinity`.
    """
    text = str(limit)
    if text == "infinity":
        return total_mib
    if text.endswith("%"):
        return total_mib * int(text[:-1]) // 100
    number = text.rstrip("KMGT")
    return int(number) * _UNITS[text[len(number) :]] // 2**20


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"memory_limit_mib": memory_limit_mib}
