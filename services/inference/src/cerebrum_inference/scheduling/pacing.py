"""How many rows of a prompt fit into a step while others wait for their next token.

A constant is wrong: 64 rows take 0.2 s on a 0.5B model and 1.8 s on a 7B one, on the same machine. So the budget is
time, and what a step takes is learned from the steps before.

Two things shape it. A row costs its share of the weights, and attention to every token before it. And attention comes
in two speeds: from 64 rows on llama.cpp computes it in tiles, below that row by row, several times slower; 48 rows
behind 400 tokens took 399 ms where 64 took 223. So there are full steps, of 64 rows and more, small ones, and steps
that are filled up with rows that nobody reads, because that is faster.
"""

from __future__ import annotations

TILE_ROWS = 64
_SMALL_STEP = 16
_LEARNING = 0.3
_LEAST = 1e-6  # a row takes some time on every machine
_SCALE = 1000.0  # tokens of context that count as one unit, so that both weights are of a size
# Without any measurement: a machine of which nobody knows anything, and a small model.
_FIRST_ROW, _FIRST_ATTENTION = 0.004, (0.004, 0.001)
# A full step may exceed the budget by so much before small ones are considered, which compute a prompt more slowly.
_TOLERANCE = 1.2


class _Speed:
    """Seconds of a row, as `weights + attention * context`, corrected by every step that is seen (normalised LMS)."""

    def __init__(self, attention: float) -> None:
        self._row, self._attention = _FIRST_ROW, attention
        self._known = False

    def seconds(self, context: float) -> float:
        return _LEAST + self._row + self._attention * context / _SCALE

    def observe(self, seconds: float, context: float) -> None:
        units = context / _SCALE
        if not self._known:  # the first step scales the guess
            factor = seconds / self.seconds(context)
            self._row, self._attention, self._known = self._row * factor, self._attention * factor, True
            return
        error = (seconds - self.seconds(context)) * _LEARNING / (1.0 + units * units)
        self._row = max(0.0, self._row + error)
        self._attention = max(0.0, self._attention + error * units)


class PrefillPacer:
    """Chooses the rows of the next step's prompts.

    Args:
        budget_seconds: what a step that carries running streams may take.
        lone_seconds: what one without streams may take.
        most_rows: rows of a batch.
    """

    def __init__(self, *, budget_seconds: float, lone_seconds: float, most_rows: int) -> None:
        self._budget = budget_seconds
        self._lone = lone_seconds
        self._most = most_rows
        self._small = _Speed(_FIRST_ATTENTION[0])
        self._full = _Speed(_FIRST_ATTENTION[1])

    def seconds(self, rows: int, context: float) -> float:
        """What a step of so many rows, at a mean position of `context`, should take."""
        return rows * (self._full if rows >= TILE_ROWS else self._small).seconds(context)

    def rows(self, context: float, *, streams: int) -> int:
        """Rows of prompts in the next step.

        Args:
            context: where in their text they stand.
            streams: rows that the step has already.
        """
        budget = self._budget if streams else self._lone
        full = int(budget / self._full.seconds(context)) // TILE_ROWS * TILE_ROWS
        if full == 0 and self.seconds(TILE_ROWS, context) <= _TOLERANCE * budget:
            full = TILE_ROWS
        if full:
            return max(1, min(self._most, full) - streams)
        small = min(TILE_ROWS - 1, int(budget / self._small.seconds(context))) // _SMALL_STEP * _SMALL_STEP
        small = max(_SMALL_STEP, small)
        # What does not halve the wait of the streams is not worth the delay of the prompt.
        if self.seconds(small, context) > self.seconds(TILE_ROWS, context) / 2:
            return max(1, TILE_ROWS - streams)
        return max(1, small - streams)

    def filling(self, rows: int, context: float) -> int:
        """Rows without use that make a step with prompts faster, since they make it a full one."""
        if rows >= TILE_ROWS or self._most < TILE_ROWS:
            return 0
        return TILE_ROWS - rows if self.seconds(TILE_ROWS, context) < self.seconds(rows, context) else 0

    def observe(self, rows: int, context: float, seconds: float) -> None:
        """A step of `rows` rows at a mean position of `context` took `seconds`."""
        if rows >= _SMALL_STEP // 2 and seconds > 0:
            (self._full if rows >= TILE_ROWS else self._small).observe(seconds / rows, context)
