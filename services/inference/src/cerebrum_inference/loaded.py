"""A model in memory: its weights, one context per slot, and what each context still holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cerebrum_inference.chat import chat_tokens
from cerebrum_inference.llama import Context, Model
from cerebrum_inference.manifest import ModelRow
from cerebrum_kit.errors import InvalidRequest

# Tokens per prefill step. A cancellation waits for one step, and so do the other slots.
PREFILL_BATCH = 256


class SlotContext:
    """A slot's context and the tokens in it, so that a prompt with the same beginning is not computed again."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.tokens: list[int] = []

    def reuse(self, prompt: Sequence[int]) -> int:
        """Keeps the longest common beginning and forgets the rest; returns how many tokens are kept.

        The prompt's last token is always computed, because its logits choose the first new one.
        """
        kept = common_prefix(self.tokens, prompt[:-1])
        if not self.context.truncate(kept):
            self.context.clear()
            kept = 0
        del self.tokens[kept:]
        return kept

    def append(self, tokens: Sequence[int]) -> None:
        try:
            self.context.decode(tokens)
        except Exception:
            self.context.clear()
            self.tokens.clear()
            raise
        self.tokens.extend(tokens)


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """The number of equal tokens at the beginning."""
    size = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        size += 1
    return size


class LlamaModel:
    """`engine.LoadedModel` over llama.cpp."""

    def __init__(
        self,
        row: ModelRow,
        path: str,
        *,
        slots: int,
        threads: int,
        max_context: int,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        self.row = row
        self.users = 0
        self.model = Model(path, progress=progress)
        self.slots: list[SlotContext] = []
        try:
            for _ in range(slots):
                context = Context(self.model, size=min(row.context, max_context), threads=threads, batch=PREFILL_BATCH)
                self.slots.append(SlotContext(context))
        except Exception:
            self.close()
            raise
        # llama.cpp rounds a context up; what is promised is what the manifest and the settings say.
        self.context = min(row.context, max_context)

    def close(self) -> None:
        for slot in self.slots:
            slot.context.close()
        self.slots.clear()
        self.model.close()

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        return self.model.tokenize(text, add_special=True, parse_special=special)

    def check_tokens(self, tokens: Sequence[int]) -> list[int]:
        wrong = next((token for token in tokens if not 0 <= token < self.model.vocab_size), None)
        if wrong is not None:
            raise InvalidRequest(
                f"{wrong} is no token of {self.row.id}; ids go from 0 to {self.model.vocab_size - 1}.", param="prompt"
            )
        return list(tokens)

    def infill_prompt(self, prefix: str, suffix: str) -> list[int] | None:
        ids = self.model.fim_tokens
        if ids is None:
            return None
        before, after, middle = ids
        return [before, *self._plain(prefix), after, *self._plain(suffix), middle]

    def chat_prompt(self, messages: Sequence[dict[str, Any]]) -> list[int]:
        template = self.model.metadata("tokenizer.chat_template")
        if not template:
            raise ValueError("this model has no chat template")
        bos, eos = self.model.special_text(self.model.bos), self.model.special_text(self.model.eos)
        return chat_tokens(
            template,
            bos,
            eos,
            messages,
            lambda text, special: self.model.tokenize(text, add_special=False, parse_special=special),
        )

    def _plain(self, text: str) -> list[int]:
        return self.model.tokenize(text, add_special=False, parse_special=False)
