"""The numbers that an operator may want to change, each with its default.

Prometheus has them as series, `cerebrum:threshold:NAME`, from a file of rules that holds nothing else. Whoever wants
others needs another such file; the rules that use them are not touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from monitoring.model import Group, Recording

PREFIX = "cerebrum:threshold:"


@dataclass(frozen=True, slots=True)
class Threshold:
    name: str
    default: float
    text: str


THRESHOLDS = (
    Threshold("key_age_days", 180, "A key that is older wants to be rotated."),
    Threshold("certificate_days", 21, "A certificate that ends sooner wants to be renewed."),
    Threshold("tailnet_key_days", 14, "A tailnet key that ends sooner wants to be renewed."),
    Threshold("disk_almost_full_ratio", 0.85, "Used share of a file system from which on somebody should make room."),
    Threshold("disk_full_ratio", 0.95, "Used share of a file system from which on somebody is woken."),
    Threshold("inodes_used_ratio", 0.9, "Used share of a file system's inodes."),
    Threshold("memory_available_ratio", 0.05, "Share of memory that must be available."),
    Threshold("temperature_celsius", 80, "A Pi slows itself down from here on."),
    Threshold("card_worn_ratio", 0.8, "Share of its life that an SD card or eMMC says it has lived."),
    Threshold("clock_skew_seconds", 3, "How far a host's clock may be from Prometheus' own."),
    Threshold("shed_requests", 5, "Completions that an edge refuses in ten minutes before somebody is told."),
    Threshold("probe_stale_seconds", 900, "The probe's last run may be this old: three of its rounds."),
    Threshold("textfile_stale_seconds", 1800, "A file of the textfile collector may be this old."),
    Threshold("probe_wanted", 1, "0 where no probe is deployed: that there is none is no fault then."),
)
_NAMES = frozenset(one.name for one in THRESHOLDS)


def threshold(name: str) -> str:
    """The expression for one of them."""
    return f"scalar({PREFIX}{known(name)})"


def known(name: str) -> str:
    """The name. Raises ValueError where there is none like it."""
    if name not in _NAMES:
        raise ValueError(f"threshold {name!r}: there are {', '.join(sorted(_NAMES))}")
    return name


def group(others: Mapping[str, float] | None = None) -> Group:
    """The file's one group, with other numbers for some of them."""
    numbers = {one.name: one.default for one in THRESHOLDS} | dict(others or {})
    return Group(
        "cerebrum-thresholds",
        tuple(Recording(PREFIX + known(name), f"vector({number:g})") for name, number in numbers.items()),
    )
