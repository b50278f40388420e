"""The seam between the API and whatever generates.

An engine takes token ids and gives token ids with their text; it knows models, slots and samplers, and nothing of
HTTP. `batching.engine.BatchEngine` is the implementation.
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
    logit_bias: tuple[tuple[int, float], ...] = ()
    ignore_eos: bool = False


@dataclass(frozen=True, slots=True)
class Generation:
    """One request to an engine.

    Attributes:
        prompt: token ids; 1 .. context - 1.
        max_tokens: at most so many new tokens; the context's end may come first.
        stop: strings that end the text; they are not part of it.
        grammar: GBNF that the text follows; ours, never a client's.
        logprobs: how many alternatives to report beside each token; None reports nothing.
        prompt_logprobs: whether the prompt's tokens are reported too, which computes the whole prompt.
        resumed: tokens of this very answer that were generated elsewhere, and that its reader has. It goes on behind
            them as if they had been generated here: they count, and nothing of them comes again.
        client: who asks, for a fair share of the queue: the id of its key.
        timeout_seconds: from now to the last token, waiting included; None for the engine's own limits.
    """

    model: str
    prompt: Sequence[int]
    max_tokens: int
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    grammar: str | None = None
    logprobs: int | None = None
    prompt_logprobs: bool = False
    resumed: Sequence[int] = ()
    request_id: str = ""
    client: str = ""
    timeout_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token, its log-probability (None for a prompt's first token), and the best alternatives, best first."""

    token: int
    data: bytes
    logprob: float | None
    top: tuple[tuple[int, bytes, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """What one decode step, or several, added. Text lags behind tokens while it may be half a character or a stop."""

    text: str
    tokens: tuple[int, ...]
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of a generation, with what it cost.

    Attributes:
        prompt_tokens, generated_tokens: counts; `cached_tokens` of the prompt were not computed again, and
            `resumed_tokens` of the answer were generated elsewhere.
        queue_seconds, prefill_seconds, decode_seconds: wall time of the three phases.
        drafted_tokens, accepted_tokens: guesses of the speculation, and those that came true.
    """

    reason: FinishReason
    prompt_tokens: int
    cached_tokens: int
    generated_tokens: int
    prefill_seconds: float
    decode_seconds: float
    queue_seconds: float = 0.0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    resumed_tokens: int = 0

    @property
    def tokens_per_second(self) -> float:
        """Rate of the decode phase; 0 where it was too short to have one."""
        return (self.generated_tokens - self.resumed_tokens) / self.decode_seconds if self.decode_seconds > 0 else 0.0


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

    @property
    def knows_tools(self) -> bool:
        """Whether the chat template itself describes functions to the model."""

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Token ids of `text`; `special` also reads control tokens out of it, which user text must never do."""

    def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of token ids; bytes that make no character become U+FFFD."""

    def shown(self, tokens: Sequence[int], stop: tuple[str, ...]) -> str:
        """The text that a stream of these tokens has given so far: without what is held back for a stop string."""

    def check_tokens(self, tokens: Sequence[int], *, param: str = "prompt") -> list[int]:
        """The ids themselves. Raises InvalidRequest where one is not in the vocabulary."""

    def infill_prompt(self, prefix: str, suffix: str) -> list[int] | None:
        """The fill-in-the-middle prompt, or None where the model has no tokens for it."""

    def chat_prompt(
        self, messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]] | None = None
    ) -> list[int]:
        """The model's own template around `messages`. Raises ValueError where there is none or it refuses."""


Generated = AsyncIterator[Piece | Finish]


class Engine(Protocol):
    def use(self, model: str, keep_alive: float | None = None) -> AbstractAsyncContextManager[LoadedModel]:
        """The model, loaded now if it was not, and kept while the block runs.

        Args:
            keep_alive: seconds that it stays afterwards if nobody uses it; -1 for ever, None for what is usual.

        Raises:
            ModelNotFound, ModelUnusable, Overloaded: it cannot be had, or not now.
        """

    async def unload(self, model: str) -> bool:
        """Frees a model; False where it was not loaded. Raises Overloaded while it generates."""

    def loaded(self) -> tuple[str, ...]: ...

    def slots(self) -> tuple[SlotView, ...]: ...

    def admit(self) -> None:
        """Raises Overloaded while others leave too little of the machine for new work."""

    def generate(self, generation: Generation) -> AbstractAsyncContextManager[Generated]:
        """Waits for a slot, then yields pieces and at last one `Finish`.

        Leaving the context early cancels: the slot is free after at most one decode step. Raises Overloaded when the
        queue is full.
        """

    async def embed(self, model: str, texts: Sequence[Sequence[int]]) -> list[list[float]]:
        """A vector of length 1 for each text, which is token ids."""

    def stuck(self) -> str | None:
        """What does not move though there is work, or None."""

    async def close(self) -> None: ...
