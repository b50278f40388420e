"""How many rows of a prompt fit into a step while others wait for their next token.

A constant is wrong: 64 rows take 0.2 s on a 0.5B model and 1.8 s on a 7B one, on the same machine. So the budget is
time, and the rate is what the last steps measured.
"""

from __future__ import annotations

_FIRST_ROWS = 32
_TILE = 16  # llama.cpp's matrix kernels work in tiles; a part of one costs as much as the whole
_GROWTH = 2.0


class PrefillPacer:
    """Chooses the rows of the next prefill chunk.

    Args:
        budget_seconds: what a step that carries running streams may take.
        most_rows: rows of a batch.
        first_rows: where to begin, when nothing was measured.
    """

    def __init__(self, *, budget_seconds: float, most_rows: int, first_rows: int = _FIRST_ROWS) -> None:
        self._budget = budget_seconds
        self._most = most_rows
        self._rows = float(min(first_rows, most_rows))

    def rows(self) -> int:
        """Rows of prompts in the next step that also decodes."""
        tiles = int(self._rows) // _TILE * _TILE
        return max(1, min(self._most, max(_TILE, tiles)))

    def observe(self, rows: int, seconds: float) -> None:
        """A step with `rows` rows of prompts took `seconds`.

        What fits shrinks at once, since a prompt's later rows see more context and cost more; it grows by at most a
        factor of two, since a large step is cheaper by the row than the small ones that follow.
        """
        if rows < _TILE or seconds <= 0:
            return
        fits = rows * self._budget / seconds
        if fits < self._rows:
            self._rows = max(float(_TILE), fits)
        elif rows >= self.rows():  # a chunk that was not full says little about a fuller one
            self._rows = min(float(self._most), fits, self._rows * _GROWTH)
