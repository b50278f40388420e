"""How fast this model is on this machine, and how long a request therefore has to wait."""

from __future__ import annotations

from dataclasses import dataclass

_FORGET = 0.2
_LEAST_WAIT, _MOST_WAIT = 1.0, 600.0


@dataclass(slots=True)
class Rates:
    """Measured averages of one model.

    Attributes:
        prefill: prompt tokens a second.
        decode: tokens a second of one stream.
        answer: tokens of an answer, of those that it might have had.
    """

    prefill: float = 0.0
    decode: float = 0.0
    answer: float = 0.5

    def observe(
        self, *, computed: int, prefill_seconds: float, generated: int, decode_seconds: float, allowed: int
    ) -> None:
        """A generation has ended."""
        if computed > 0 and prefill_seconds > 0:
            self.prefill = _blend(self.prefill, computed / prefill_seconds)
        if generated > 1 and decode_seconds > 0:
            self.decode = _blend(self.decode, generated / decode_seconds)
        if allowed > 0:
            self.answer = _blend(self.answer, generated / allowed)


def _blend(before: float, now: float) -> float:
    return now if before == 0 else before + _FORGET * (now - before)


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done before a newcomer starts: prompt tokens, and answers' tokens as far as they are allowed."""

    prompt_tokens: int
    max_tokens: int


def seconds_to_wait(work: Work, rates: Rates, slots: int) -> float:
    """When a slot should be free, for `Retry-After`: between 1 s and 10 min.

    Prompts are computed one after the other, whatever the slots; answers advance side by side.
    """
    prefill = work.prompt_tokens / rates.prefill if rates.prefill > 0 else 0.0
    decode = work.max_tokens * rates.answer / rates.decode / slots if rates.decode > 0 else 0.0
    return min(_MOST_WAIT, max(_LEAST_WAIT, prefill + decode))
