"""What a fetch says of itself while it runs. Sees `now` and byte counts, does no I/O."""

from __future__ import annotations

from collections import deque

_WINDOW = 10.0  # seconds that the rate is taken over
_SILENCE = 3.0  # seconds without a byte that are worth a word


def size_text(count: float) -> str:
    """Decimal units, as disks and hubs count: `4.7 GB`."""
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count:.0f} B"


def time_text(seconds: float) -> str:
    """`40 s`, `7 min`, `1 h 12 min`; rounded up, so that nobody waits longer than was said."""
    whole = max(1, int(-(-seconds // 1)))
    if whole < 60:
        return f"{whole} s"
    minutes = -(-whole // 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


class Meter:
    """Bytes of one file.

    Args:
        label: what is fetched.
        there: bytes that an earlier run has left.
    """

    def __init__(self, label: str, total: int, there: int, now: float) -> None:
        self._label, self._total = label, total
        self.done = there
        self._seen: deque[tuple[float, int]] = deque([(now, there)])
        self._moved = now

    def at(self, done: int, now: float) -> None:
        """The file has `done` bytes now; fewer than before if it was begun anew."""
        if done != self.done:
            self._moved = now
        if done < self.done:
            self._seen = deque()
        self._seen.append((now, done))
        self.done = done
        # One sample that is older than the window stays: the rate is taken from there.
        while len(self._seen) > 2 and self._seen[1][0] <= now - _WINDOW:
            self._seen.popleft()

    def rate(self, now: float) -> float:
        """Bytes a second, over the last while."""
        since, before = self._seen[0] if self._seen else (now, self.done)
        return max(0.0, (self.done - before) / (now - since)) if now > since else 0.0

    def line(self, now: float) -> str:
        """`qwen_7b 1.2 of 4.7 GB, 8.3 MB/s, 7 min left`"""
        number, _, unit = size_text(self.done).partition(" ")
        total = size_text(self._total)
        amount = f"{number} of {total}" if total.endswith(f" {unit}") else f"{number} {unit} of {total}"
        silent, rate = now - self._moved, self.rate(now)
        if self.done >= self._total:
            return f"{self._label} {amount}"
        if silent >= _SILENCE:
            return f"{self._label} {amount}, nothing came for {time_text(silent)}"
        if rate <= 0:
            return f"{self._label} {amount}"
        left = time_text((self._total - self.done) / rate)
        return f"{self._label} {amount}, {size_text(rate)}/s, {left} left"
