"""How busy the machine is with other work, and how many threads to compute with beside it.

llama.cpp's threads wait for each other by spinning. When another process takes a core, every step waits for the
thread that lost it: two threads on two cores then make a fraction of what one thread alone still makes
(docs/performance.md). So the number of threads follows the cores that are really there, and comes back when they do.
"""

from __future__ import annotations

from dataclasses import dataclass

_QUIET_SECONDS = 3.0
_TAKEN_CORES = 0.3  # others' use below that share of a core is the usual noise of a machine
_SMOOTHING, _SLOW_SMOOTHING = 0.6, 0.05


@dataclass(frozen=True, slots=True)
class CpuSample:
    """Counters at one moment, in seconds since boot or start; `busy` of the whole machine, stolen time included."""

    at: float
    busy: float
    own: float


class ForeignCpu:
    """Cores that others use: what the machine was busy with, minus what this process used.

    Attributes:
        cores: smoothed over about a second; `latest` is the last half second alone.
    """

    def __init__(self, cores: int) -> None:
        self._cores = cores
        self._last: CpuSample | None = None
        self._sustained = 0.0
        self.cores = 0.0
        self.latest = 0.0

    @property
    def sustained_share(self) -> float:
        """0..1 of the machine, as it has been for some ten seconds and still is.

        A compiler that runs for two is no reason to refuse work, and neither is one that is done.
        """
        return min(self._sustained, self.cores) / self._cores

    def observe(self, sample: CpuSample, *, known: bool = True) -> None:
        """Takes counters twice a second.

        Args:
            known: False where the time since the last ones says nothing about others.
        """
        last, self._last = self._last, sample
        if last is None or sample.at <= last.at or not known:
            return
        used = (sample.busy - last.busy) - (sample.own - last.own)
        now = min(float(self._cores), max(0.0, used / (sample.at - last.at)))
        self.latest = now
        self.cores += _SMOOTHING * (now - self.cores)
        self._sustained += _SLOW_SMOOTHING * (now - self._sustained)


class ThreadGovernor:
    """Chooses the number of threads.

    Args:
        threads: as many as the settings allow.
        cores: of the machine.
    """

    def __init__(self, threads: int, cores: int) -> None:
        self._most = threads
        self._cores = cores
        self._quiet_since: float | None = None
        self._settled = False
        self.threads = threads

    def decide(self, now: float, foreign_cores: float, *, computing: bool) -> int:
        """The number of threads from now on.

        Goes down at once and comes back after some quiet seconds, or at once while nothing is computed and at the first
        look after that: what was busy before a request says nothing about the time after it.
        """
        settled, self._settled = self._settled and computing, computing
        taken = round(foreign_cores + 0.5 - _TAKEN_CORES)
        wanted = max(1, min(self._most, self._cores - taken))
        if wanted < self.threads or not settled:
            self.threads, self._quiet_since = wanted, None
        elif wanted > self.threads:
            if self._quiet_since is None:
                self._quiet_since = now
            elif now - self._quiet_since >= _QUIET_SECONDS:
                self.threads, self._quiet_since = wanted, None
        else:
            self._quiet_since = None
        return self.threads


def too_busy(foreign_share: float, pressure: float | None, limit: float) -> bool:
    """Whether others leave too little of the machine for new work.

    Args:
        pressure: the kernel's own account (PSI): the share of time in which something waited for a core; None where
            the kernel keeps none. Where nothing waits, there are cores enough, however busy they are.
        limit: the share of the machine that others may use.
    """
    return foreign_share > limit and (pressure is None or pressure > 0.1)
