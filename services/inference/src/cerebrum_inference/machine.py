"""How busy the processor is, and with whom. Reads /proc; `scheduling.contention` makes sense of it."""

from __future__ import annotations

import os
import time
from pathlib import Path

from cerebrum_inference.scheduling.contention import CpuSample

_TICK = os.sysconf("SC_CLK_TCK")
_STAT = Path("/proc/stat")
_PRESSURE = Path("/proc/pressure/cpu")
_IDLE, _IOWAIT = 3, 4
_GUEST = 8  # guest time is in user time already
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def cpu_sample() -> CpuSample:
    """Counters now. Time that a hypervisor took away is time in which the machine was busy."""
    with _STAT.open(encoding="ascii") as file:
        fields = [int(value) for value in file.readline().split()[1:]]
    busy = sum(value for at, value in enumerate(fields[:_GUEST]) if at not in (_IDLE, _IOWAIT))
    own = os.times()
    return CpuSample(time.monotonic(), busy / _TICK, own.user + own.system + own.children_user + own.children_system)


def cpu_pressure() -> float | None:
    """The kernel's share of time (0..1, over ten seconds) in which something waited for a core; None without PSI."""
    try:
        line = _PRESSURE.read_text(encoding="ascii").splitlines()[0]
    except OSError:
        return None
    fields = dict(part.split("=") for part in line.split()[1:])
    return float(fields["avg10"]) / 100


def usable_cores() -> int:
    """Cores that this process may use: those it is bound to, or its control group's quota if that is less."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = _QUOTA.read_text(encoding="ascii").split()
    except OSError:
        return cores
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))
