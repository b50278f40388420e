"""Condensation: less code for the same instruction, decided by syntax, words and copies, without a model.

    condense(text, instruction=None, budget=3000)        a text to a budget of characters
    condense_prompt(prompt, context_chars=None)          a prompt, if it is worth it, by the default policy
    condense_messages(messages, context_chars=None)      OpenAI's messages: each user message by itself
    condense_fim(prefix, suffix, budget=6000)            both sides of a cursor
    budget_for(chars, context_chars=None)                the default policy's budget

All are functions of their arguments: no I/O, no state but loaded grammars, the same answer for the same input. This
module alone reads a clock, for the receipt. Kept lines are byte for byte those of the input; lines end at `\\n`, so a
`\\r` is part of its line. No text raises: what cannot be parsed is split by indentation, and what cannot be condensed
comes back with the reason.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from cerebrum_edge.condense.core import Condensed, Lines, pipeline
from cerebrum_edge.condense.fim import CondensedSides, sides
from cerebrum_edge.condense.messages import CondensedMessages, Message, rewrite
from cerebrum_edge.condense.policy import THRESHOLD, budget_for, gated

__all__ = [
    "Condensed",
    "CondensedMessages",
    "CondensedSides",
    "budget_for",
    "condense",
    "condense_fim",
    "condense_messages",
    "condense_prompt",
]


def condense(
    text: str,
    *,
    instruction: str | None = None,
    language: str | None = None,
    focus: int | Lines | None = None,
    budget: int,
) -> Condensed:
    """The lines of `text` that `instruction` most likely needs, with a marker for each gap, in at most `budget`
    characters.

    Args:
        instruction: what is to be done with the code. None: `text` is a prompt that holds both; then the code in it is
            condensed, the rest stays as it is (even when that alone exceeds the budget), and ranges count the
            prompt's lines.
        language: of the code, where it does not say its own; detected when None.
        focus: line, or first and last line (1-based), near which the edit happens; it stays if it fits.
        budget: characters.
    """
    return _timed(lambda: pipeline(text, instruction=instruction, language=language, focus=focus, budget=budget))


def condense_prompt(
    prompt: str,
    *,
    language: str | None = None,
    budget: int | None = None,
    context_chars: int | None = None,
    threshold: int = THRESHOLD,
) -> Condensed:
    """A prompt of instruction and code, condensed if it is longer than `threshold` characters and a tenth or more is
    saved.

    `budget` is `budget_for` the prompt when None; copies of a construct go even when the rest would fit.
    `context_chars`: what the model's context holds, less the answer's room; a prompt above it is condensed whatever
    the saving.
    """
    return _timed(
        lambda: gated(prompt, language=language, budget=budget, context_chars=context_chars, threshold=threshold)
    )


def condense_messages(
    messages: Sequence[Message],
    *,
    language: str | None = None,
    context_chars: int | None = None,
    threshold: int = THRESHOLD,
) -> CondensedMessages:
    """OpenAI's messages with every user message condensed as by `condense_prompt`, by itself, so that it never changes
    again.

    `context_chars` must be the model's, not what a conversation leaves of it: the same message must meet the same
    value each time.
    """
    return rewrite(
        messages,
        lambda text, about: _timed(
            lambda: gated(text, language=language, context_chars=context_chars, threshold=threshold, about=about)
        ),
    )


def condense_fim(
    prefix: str, suffix: str, *, language: str | None = None, budget: int, suffix_share: float = 0.25
) -> CondensedSides:
    """Both sides of a cursor in at most `budget` characters, of which `suffix_share` is the suffix's. What is next to
    the cursor stays.
    """
    begun = time.perf_counter()
    found = sides(prefix, suffix, language=language, budget=budget, suffix_share=suffix_share)
    seconds = time.perf_counter() - begun
    return CondensedSides(replace(found.prefix, seconds=seconds), replace(found.suffix, seconds=seconds))


def _timed(work: Callable[[], Condensed]) -> Condensed:
    begun = time.perf_counter()
    result = work()
    return replace(result, seconds=time.perf_counter() - begun)
