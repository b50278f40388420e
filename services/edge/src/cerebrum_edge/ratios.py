"""How many characters of a prompt a model makes a token of. Pure: learned from what backends say of their prompts."""

from __future__ import annotations

_USUAL = 3.2  # code, with the tokenizers of code models
_LEAST, _MOST = 0.5, 8.0
_SMOOTHING = 0.2
# Of a context, for the prompt; the rest is for the answer.
_PROMPT_SHARE = 0.75


class Ratios:
    """Characters a token, for each model."""

    def __init__(self) -> None:
        self._known: dict[str, float] = {}

    def observe(self, model: str, characters: int, tokens: int) -> None:
        """A prompt of so many characters had so many tokens."""
        if tokens < 16:  # too short to tell
            return
        seen = min(_MOST, max(_LEAST, characters / tokens))
        known = self._known.get(model, seen)
        self._known[model] = known + _SMOOTHING * (seen - known)

    def characters(self, model: str, context: int) -> int:
        """What of a context of so many tokens is for a prompt, in characters."""
        return int(context * _PROMPT_SHARE * self._known.get(model, _USUAL))

    def usual(self, context: int) -> int:
        """The same for any model, and the same at any time."""
        return int(context * _PROMPT_SHARE * _USUAL)
