"""The seam between the API and whatever generates.

An engine takes token ids and gives token ids with their text; it knows models, slots and samplers, and nothing of
HTTP. `SimpleEngine` (simple.py) is the implementation; a batching one can take its place without a change above.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from cerebrum_inference.manifest import ModelRow

FinishReason = Literal["stop", "length"]
SlotState = Literal["idle", "prefill", "decode"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. Temperature 0 is greedy; the rest then has no effect."""

    temperature: float = 0.2
    top_p: float = 0.95
    top_k: int = 40
    min_p: float = 0.0
    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Generation:
    """One request to an engine.

    Attributes:
        prompt: token ids; 1 .. context - 1.
        max_tokens: at most so many new tokens; the context's end may come first.
        stop: strings that end the text; they are not part of it.
    """

    model: str
    prompt: Sequence[int]
    max_tokens: int
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """What one decode step, or several, added. Text lags behind tokens while it may be half a character or a stop."""

    text: str
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of a generation, with what it cost.

    Attributes:
        prompt_tokens, generated_tokens: counts; `cached_tokens` of the prompt were not computed again.
        prefill_seconds, decode_seconds: wall time of the two phases.
    """

    reason: FinishReason
    prompt_tokens: int
    cached_tokens: int
    generated_tokens: int
    prefill_seconds: float
    decode_seconds: float

    @property
    def tokens_per_second(self) -> float:
        """Rate of the decode phase; 0 where it was too short to have one."""
        return self.generated_tokens / self.decode_seconds if self.decode_seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class SlotView:
    id: int
    state: SlotState
    model: str | None
    request_id: str | None
    prompt_tokens: int
    cached_tokens: int
    generated_tokens: int


class LoadedModel(Protocol):
    """What the API needs of a model that is in memory; every method may be called from any thread."""

    @property
    def row(self) -> ModelRow: ...

    @property
    def context(self) -> int:
        """Tokens that one generation can hold, prompt and answer together."""

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Token ids of `text`; `special` also reads control tokens out of it, which user text must never do."""

    def check_tokens(self, tokens: Sequence[int]) -> list[int]:
        """The ids themselves. Raises InvalidRequest where one is not in the vocabulary."""

    def infill_prompt(self, prefix: str, suffix: str) -> list[int] | None:
        """The fill-in-the-middle prompt, or None where the model has no tokens for it."""

    def chat_prompt(self, messages: Sequence[dict[str, Any]]) -> list[int]:
        """The model's own template around `messages`. Raises ValueError where there is none or it refuses."""


Generated = AsyncIterator[Piece | Finish]


class Engine(Protocol):
    def use(self, model: str) -> AbstractAsyncContextManager[LoadedModel]:
        """The model, loaded now if it was not, and kept while the block runs. Raises ModelNotFound or Overloaded."""

    async def unload(self, model: str) -> bool:
        """Frees a model; False where it was not loaded. Raises Overloaded while it generates."""

    def loaded(self) -> tuple[str, ...]: ...

    def slots(self) -> tuple[SlotView, ...]: ...

    def generate(self, generation: Generation) -> AbstractAsyncContextManager[Generated]:
        """Waits for a slot, then yields pieces and at last one `Finish`.

        Leaving the context early cancels: the slot is free after at most one decode step. Raises Overloaded when the
        queue is full.
        """

    async def close(self) -> None: ...
