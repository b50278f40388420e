"""Condensation: less code for the same instruction."""

from __future__ import annotations

import time
from dataclasses import replace

from cerebrum_edge.condense.core import Condensed, Lines, pipeline

__all__ = ["Condensed", "condense"]


def condense(
    text: str,
    *,
    instruction: str | None = None,
    language: str | None = None,
    focus: int | Lines | None = None,
    budget: int,
) -> Condensed:
    begun = time.perf_counter()
    result = pipeline(text, instruction=instruction, language=language, focus=focus, budget=budget, dedupe=False)
    return replace(result, seconds=time.perf_counter() - begun)
