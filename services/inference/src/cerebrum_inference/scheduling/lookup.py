"""Prompt lookup: guessing the next tokens from what the text has already said, where that pays.

An edit repeats most of the code that it edits. The last few tokens are looked up in the prompt and the answer so far,
and what followed them there is offered as a draft; the model computes the draft's rows together with the next token's,
each token is sampled as it always is, and the draft holds as far as it agrees. So the distribution is that of a run
without drafts, and with greedy sampling the text is.
"""

from __future__ import annotations

from collections.abc import Sequence

LONGEST_DRAFT = 8
_LONG, _SHORT = 4, 2  # tokens that must repeat: the longer one is tried first
_FORGET = 0.15  # weight of the newest draft in the averages
_RETRY_STEPS = 48  # steps between two tries while drafts do not pay
TILE = 4  # rows that llama.cpp's matrix kernels for repacked weights take at once; what is left over goes row by row
_PAYS = 0.97
_TRIES = 3  # a step of a new shape is slow the first time: one says nothing


class PromptLookup:
    """An index of where each run of tokens was last seen."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self._tokens: list[int] = []
        self._seen: dict[tuple[int, ...], int] = {}
        for token in tokens:
            self.append(token)

    def append(self, token: int) -> None:
        """The text goes on with `token`."""
        tokens, seen = self._tokens, self._seen
        end = len(tokens)
        # What ends before `token` is indexed now, so that a search for the text's own end finds an earlier place.
        if end >= _SHORT:
            seen[(tokens[-2], tokens[-1])] = end
        if end >= _LONG:
            seen[(tokens[-4], tokens[-3], tokens[-2], tokens[-1])] = end
        tokens.append(token)

    def draft(self, size: int) -> list[int]:
        """At most `size` tokens that followed the text's end where it was last seen; empty where it never was."""
        tokens = self._tokens
        for run in (_LONG, _SHORT):
            if len(tokens) >= run:
                at = self._seen.get(tuple(tokens[-run:]))
                if at is not None:
                    return tokens[at : at + size]
        return []


class DraftGate:
    """How long a draft may be now: 0 while drafts cost more than they bring.

    A step with a draft of n tokens takes longer than one without, by a ratio that is measured; it brings one token and
    those of the draft that hold.
    """

    def __init__(self) -> None:
        self._held = 0.6  # the share of drafted tokens that hold
        self._idle = 0

    def size(self, cost: Sequence[float]) -> int:
        """The best length of a draft, 0 .. len(cost) - 1.

        Args:
            cost: time of a step with 0, 1, 2 … drafted tokens; only ratios count.
        """
        best, best_rate = 0, 1.0 / cost[0]
        expected, chance = 1.0, 1.0
        for size in range(1, len(cost)):
            chance *= self._held
            expected += chance
            rate = expected / cost[size]
            if rate > best_rate:
                best, best_rate = size, rate
        if best == 0:
            self._idle += 1
            if self._idle >= _RETRY_STEPS:
                self._idle = 0
                return min(2, len(cost) - 1)
        else:
            self._idle = 0
        return best

    def observe(self, drafted: int, held: int) -> None:
        """Of a draft of `drafted` tokens the first `held` were right."""
        tried = min(held + 1, drafted)  # what stands behind the first wrong one was never judged
        self._held += min(1.0, _FORGET * tried) * (held / tried - self._held)


class StepCosts:
    """Seconds of a step by its number of rows, as measured; what was not seen yet is guessed from its neighbours."""

    def __init__(self, most_rows: int) -> None:
        self._seconds: list[float | None] = [None] * (most_rows + 1)
        self._seen = [0] * (most_rows + 1)
        self._asked = 0

    def observe(self, rows: int, seconds: float) -> None:
        if rows < len(self._seconds):
            self._seen[rows] += 1
            before = self._seconds[rows]
            # The lower of two: a step that was disturbed says nothing about the next one.
            self._seconds[rows] = (
                seconds if before is None else before + (0.3 if seconds < before else 0.15) * (seconds - before)
            )

    def known(self, rows: int) -> float | None:
        return self._seconds[rows] if rows < len(self._seconds) else None

    def drafts(self, rows: int, longest: int) -> list[float]:
        """Time of a step with `rows` rows and 0 .. `longest` more; empty while nothing was measured.

        What was not tried yet is guessed low where it fills the kernels' tiles, so that it is tried.
        """
        first = self.known(rows)
        if first is None:
            return []
        costs = [first]
        for more in range(1, longest + 1):
            seen = self.known(rows + more)
            guess = 0.1 * more if (rows + more) % TILE == 0 else 0.3 * more
            costs.append(seen if seen is not None else first * (1.0 + guess))
        return costs

    def padding(self, rows: int) -> int:
        """How many rows without use make a step faster: three rows take longer than four where four fill a tile."""
        more = -rows % TILE
        if not more or rows + more >= len(self._seconds):
            return 0
        self._asked += 1
        alone, filled = self.known(rows), self.known(rows + more)
        if alone is None or self._seen[rows] < _TRIES:
            return 0
        if filled is None or self._seen[rows + more] < _TRIES:
            return more
        # Now and then the other way is taken, so that neither figure is older than the other.
        return more if (filled < _PAYS * alone) != (self._asked % _RETRY_STEPS == 0) else 0
