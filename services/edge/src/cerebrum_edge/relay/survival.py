"""What happens when an attempt at an answer fails. Sans-IO.

    the failure                                        what follows
    the request's own (4xx of ours, its deadline)      the client gets it
    nothing of the request was taken by a backend      another attempt, while the retry budget lasts, twice at most
    a backend had taken it                             another attempt, until `resume_seconds` have gone by without a
                                                       new token, or the backends have failed too often in a row
    it cannot go on behind what the client has         the client gets it

Between attempts it waits, each time about twice as long; an attempt that brought new tokens begins all that anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from cerebrum_edge.guard.retry import RetryBudget, RetryPolicy, backoff

_MOST_RETRIES = 2


@dataclass(frozen=True, slots=True)
class SurvivalPolicy:
    """
    Attributes:
        resume_seconds: how long an answer that had begun may stand still before it is given up.
        most_resumes: how often one answer is taken up again, whatever comes of it.
        most_barren: attempts in a row that may fail on a backend that took them, without a new token.
    """

    resume_seconds: float = 15.0
    most_resumes: int = 16
    most_barren: int = 4


@dataclass(frozen=True, slots=True)
class TryAgain:
    """Another attempt, after `wait` seconds; not after `until`, where that is given."""

    wait: float
    until: float | None


class Survival:
    """One answer's failures so far."""

    def __init__(self, policy: SurvivalPolicy, retries: RetryPolicy, budget: RetryBudget) -> None:
        self._policy = policy
        self._retries = retries
        self._budget = budget
        self._taken = False
        self._since: float | None = None
        self._row = 0
        self._barren = 0
        self._resumes = 0

    def failed(
        self, now: float, *, final: bool, taken: bool, progress: bool, can_resume: bool, jitter: float
    ) -> TryAgain | None:
        """An attempt is over; None where its error is the answer's end.

        Args:
            final: no backend would answer it otherwise.
            taken: the backend had begun to answer it.
            progress: it brought new tokens.
            can_resume: a backend can be asked to go on behind what has come.
            jitter: a random number from 0 to 1, new for each call.
        """
        if final or not can_resume:
            return None
        self._taken = self._taken or taken
        if progress:
            self._since, self._row, self._barren = None, 0, 0
        elif taken:
            self._barren += 1
        if not self._taken:
            return self._retry(jitter)
        self._since = now if self._since is None else self._since
        self._resumes += taken
        until = self._since + self._policy.resume_seconds
        if now >= until or self._resumes > self._policy.most_resumes or self._barren >= self._policy.most_barren:
            return None
        self._row += 1
        return TryAgain(min(backoff(self._row - 1, jitter=jitter, policy=self._retries), until - now), until)

    def _retry(self, jitter: float) -> TryAgain | None:
        if self._row >= _MOST_RETRIES or not self._budget.withdraw():
            return None
        self._row += 1
        return TryAgain(backoff(self._row - 1, jitter=jitter, policy=self._retries), None)
