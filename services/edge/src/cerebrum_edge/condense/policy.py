"""When a prompt is condensed, and to how much. Evidence that is missing hurts an answer far more than text too many, so
the default keeps most of the code; only copies, and what the model's context cannot hold, go beyond that.
"""

from __future__ import annotations

from cerebrum_edge.condense.core import Condensed, pipeline, untouched

THRESHOLD = 1_500  # characters from which a prompt is considered
LEAST_SAVING = 0.1  # of a prompt's characters; below it the original is sent
SHARE = 0.6  # of a prompt's characters that are kept by default


def budget_for(chars: int, *, context_chars: int | None = None) -> int:
    """Characters that a prompt of `chars` may take. `context_chars`: what the model's context holds, less the answer's
    room.
    """
    wanted = int(chars * SHARE)
    return wanted if context_chars is None else min(wanted, max(0, context_chars))


def gated(
    text: str,
    *,
    language: str | None = None,
    budget: int | None = None,
    context_chars: int | None = None,
    threshold: int = THRESHOLD,
    instruction: str | None = None,
    about: str = "",
    focus: tuple[int, int] | None = None,
) -> Condensed:
    """Condenses `text` if that is worth it, by default to `budget_for` its size. What does not fit the context is
    always condensed.
    """
    too_large = context_chars is not None and len(text) > context_chars
    if len(text) <= threshold and not too_large:
        return untouched(text, f"not longer than {threshold} characters", language=language)
    if budget is None:
        budget = budget_for(len(text), context_chars=context_chars)
    result = pipeline(
        text, instruction=instruction, language=language, focus=focus, budget=budget, dedupe=True, about=about
    )
    if result.reason is None and len(text) - len(result.text) < LEAST_SAVING * len(text) and not too_large:
        return untouched(text, f"saves less than {LEAST_SAVING:.0%}", units=result.units, language=result.language)
    return result
