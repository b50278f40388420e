"""What a model's thread counts while it works: plain numbers, because a step has microseconds to spare, not locks.

One thread writes; a scrape may read at any time and sees numbers that are at most one step apart.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from cerebrum_kit.metrics import LATENCY_BUCKETS

SECONDS = (0.001, 0.0025, *LATENCY_BUCKETS)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_WINDOW = 10  # seconds that "now" means for a rate


class Histogram:
    """Observations by bucket; `bounds` are upper ones, inclusive."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts by upper bound, as Prometheus has them."""
        counts, so_far, rows = list(self.counts), 0, []
        for bound, count in zip([*map(_bound, self.bounds), "+Inf"], counts, strict=True):
            so_far += count
            rows.append((bound, float(so_far)))
        return rows


def _bound(value: float) -> str:
    return str(float(value))


class Rate:
    """Events a second over the last ten seconds."""

    def __init__(self) -> None:
        self._counts = [0] * (_WINDOW + 1)
        self._second = 0

    def add(self, count: int, now: float) -> None:
        self._move(int(now))
        self._counts[self._second % len(self._counts)] += count

    def read(self, now: float) -> float:
        """The mean of the last ten full seconds. May be off by a second's events while another thread adds."""
        span, last = len(self._counts), self._second
        full = range(max(int(now) - _WINDOW, last - span + 1), min(int(now), last + 1))
        return sum(self._counts[second % span] for second in full) / _WINDOW

    def _move(self, second: int) -> None:
        if second == self._second:
            return
        span = len(self._counts)
        for one in range(max(self._second + 1, second - span + 1), second + 1):
            self._counts[one % span] = 0
        self._second = second


class ModelStats:
    """Everything that is counted for one model, loaded or not."""

    def __init__(self) -> None:
        self.steps = 0
        self.step_seconds_total = 0.0
        self.overhead_seconds = 0.0
        self.busy_slot_steps = 0
        self.prompt_computed = 0
        self.prompt_cached = 0
        self.prompt_restored = 0
        self.prefill_seconds = 0.0
        self.decode_seconds = 0.0
        self.generated = 0
        self.drafted = 0
        self.accepted = 0
        self.prefix_hits = 0
        self.prefix_misses = 0
        self.most_tokens = 0
        self.outcomes = dict.fromkeys(("stop", "length", "cancelled", "deadline", "slow_reader", "error"), 0)
        self.cancelled = dict.fromkeys(("queued", "prefill", "decode"), 0)
        self.step_seconds = Histogram(SECONDS)
        self.rows = Histogram(ROWS)
        self.queue_wait = Histogram(SECONDS)
        self.first_token = Histogram(SECONDS)
        self.inter_token = Histogram(SECONDS)
        self.generation = Histogram(SECONDS)
        self.prompt_rate = Rate()
        self.decode_rate = Rate()
