"""Whether a machine is quiet enough to measure on: the share of its processors that others use.

What others use is all time that was not idle (`/proc/stat`) minus the time of the processes under measurement
(`/proc/PID/stat`). Samples wait for a quiet second before they start, and know how quiet it was while they ran.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

LIMIT = 0.10
ATTEMPTS = 3
T = TypeVar("T")


@dataclass(frozen=True)
class Reading:
    """Clock ticks since the machine started."""

    total: int
    idle: int
    own: int


def machine_ticks(stat: str) -> tuple[int, int]:
    """All ticks and the idle ones, from the first line of /proc/stat; guests' time is part of user and nice."""
    fields = [int(field) for field in stat.split("\n", 1)[0].split()[1:9]]
    return sum(fields), fields[3] + fields[4]


def process_ticks(stat: str) -> int:
    """User and system time of a process with all its threads, from /proc/PID/stat; its name may hold anything."""
    fields = stat.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def read(pids: Iterable[int]) -> Reading:
    own = 0
    for pid in {os.getpid(), *pids}:
        own += process_ticks(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace"))
    return Reading(*machine_ticks(Path("/proc/stat").read_text(encoding="ascii")), own)


def foreign_share(before: Reading, after: Reading) -> float:
    """What others used between two readings: 0 is nothing, 1 is every processor."""
    total = after.total - before.total
    busy = total - (after.idle - before.idle)
    return max(0.0, busy - (after.own - before.own)) / total if total > 0 else 0.0


def wait_until_quiet(pids: Sequence[int], seconds: float) -> bool:
    """Waits for one quiet second, `seconds` at most; False if there was none."""
    until = time.monotonic() + seconds
    while True:
        before = read(pids)
        time.sleep(1)
        if foreign_share(before, read(pids)) < LIMIT:
            return True
        if time.monotonic() > until:
            return False


@dataclass(frozen=True)
class Sample(Generic[T]):
    value: T
    foreign: float

    @property
    def quiet(self) -> bool:
        return self.foreign < LIMIT


def sample(measure: Callable[[], T], pids: Sequence[int], *, wait: float, attempts: int = ATTEMPTS) -> Sample[T]:
    """Runs `measure` in a quiet time; again if it did not stay quiet. The quietest attempt is returned, as it was."""
    best: Sample[T] | None = None
    for _ in range(attempts):
        wait_until_quiet(pids, wait)
        before = read(pids)
        value = measure()
        taken = Sample(value, foreign_share(before, read(pids)))
        if best is None or taken.foreign < best.foreign:
            best = taken
        if best.quiet:
            break
    assert best is not None
    return best


def usable(samples: Sequence[Sample[T]]) -> list[Sample[T]]:
    """The quiet samples; all of them where none was quiet."""
    return [one for one in samples if one.quiet] or list(samples)


def trust(*groups: Sequence[Sample[T]]) -> dict[str, object]:
    """`quiet` only if every group has a quiet sample; `foreign` is the most that any used sample saw."""
    used = [usable(group) for group in groups]
    return {
        "samples": min(len(group) for group in used),
        "quiet": all(one.quiet for group in used for one in group),
        "foreign": round(max(one.foreign for group in used for one in group), 3),
    }
