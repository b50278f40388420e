"""What a model's thread counts while it works: plain numbers, because a step has microseconds to spare, not locks.

One thread writes; a scrape may read at any time and sees numbers that are at most one step apart.
"""

from __future__ import annotations

from cerebrum_kit.histogram import Histogram
from cerebrum_kit.metrics import LATENCY_BUCKETS

SECONDS = (0.001, 0.0025, *LATENCY_BUCKETS)
# From a large model on a small machine to a tiny one on a GPU.
RATES = (0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
# Of fewer tokens the speed is chance.
LEAST_RATED_TOKENS = 8
_WINDOW = 10  # seconds that "now" means for a rate


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
        self.outcomes = dict.fromkeys(("stop", "length", "cancelled", "deadline", "slow_reader", "error"), 0)
        self.cancelled = dict.fromkeys(("queued", "prefill", "decode"), 0)
        self.step_seconds = Histogram(SECONDS)
        self.rows = Histogram(ROWS)
        self.queue_wait = Histogram(SECONDS)
        self.first_token = Histogram(SECONDS)
        self.inter_token = Histogram(SECONDS)
        self.generation = Histogram(SECONDS)
        self.request_rate = Histogram(RATES)
        self.decode_rate = Rate()
