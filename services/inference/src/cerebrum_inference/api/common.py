"""What the native and the OpenAI routes share: defaults, limits, and the way from a request to a generation."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import Field

from cerebrum_inference.engine import Engine, Finish, Generation, LoadedModel, Piece, Sampling
from cerebrum_inference.manifest import ModelRow
from cerebrum_inference.registry import ModelRegistry, ModelState
from cerebrum_inference.threads import in_thread
from cerebrum_kit.errors import PromptTooLarge
from cerebrum_kit.lifecycle import Lifecycle
from cerebrum_kit.request_id import current_request_id
from cerebrum_kit.text import RequestModel, Stop, Text

DEFAULT_MAX_TOKENS = 256
# More often than a client needs it: by this sign the edge tells a long prompt from a machine that has stopped.
KEEP_ALIVE_SECONDS = 5.0
_DEFAULT = Sampling()


@dataclass(frozen=True, slots=True)
class Resources:
    """What the routes work with; made by the lifespan, found in `request.state`."""

    engine: Engine
    registry: ModelRegistry
    lifecycle: Lifecycle
    default_model: str
    # The id of the key that this request came with.
    client: str = ""


async def _resources(request: Request) -> Resources:  # a plain function would run in a thread of its own
    resources: Resources = request.state.resources
    return replace(resources, client=request.scope.get("cerebrum.key_id", ""))


Deps = Annotated[Resources, Depends(_resources)]


TokenKey = Annotated[int, Field(ge=0, le=2**31 - 1)]
# A number and nothing that could be read as one: to OpenAI `["1", "2"]` are two texts.
TokenId = Annotated[int, Field(strict=True)]
Prompt = Annotated[Text, Field(min_length=1)] | Annotated[list[TokenId], Field(min_length=1)]
"""A prompt as text, or as token ids."""


class SamplingFields(RequestModel):
    """Fields that every way to ask for text has in common."""

    temperature: float = Field(_DEFAULT.temperature, ge=0, le=2)
    top_p: float = Field(_DEFAULT.top_p, gt=0, le=1)
    top_k: int = Field(_DEFAULT.top_k, ge=0, le=1000)
    min_p: float = Field(_DEFAULT.min_p, ge=0, le=1)
    presence_penalty: float = Field(0.0, ge=-2, le=2)
    frequency_penalty: float = Field(0.0, ge=-2, le=2)
    repeat_penalty: float = Field(1.0, ge=0.5, le=2)
    seed: int | None = Field(None, ge=0, le=2**63 - 1)
    stop: Stop | None = None
    # Added to the logits of tokens, by id; -100 forbids a token.
    logit_bias: dict[TokenKey, Annotated[float, Field(ge=-100, le=100)]] | None = Field(None, max_length=300)
    # The answer goes on to max_tokens, whatever the model thinks.
    ignore_eos: bool = False
    # Token ids beside the text, with which a stream that was cut can be taken up elsewhere.
    return_tokens: bool = False
    # Ids of this answer's tokens that the client has from a stream that was cut: the answer goes on behind them, and a
    # stream gives only what is new. Everything else of the request must be as it was.
    resume_tokens: list[TokenId] = Field([], max_length=1_048_576)
    # Seconds that the model stays in memory afterwards; -1 for ever, 0 unloads it.
    keep_alive: float | None = Field(None, ge=-1, le=31_536_000)
    # Seconds until the last token at most, waiting included.
    timeout_seconds: float | None = Field(None, gt=0, le=3600)

    def sampling(self) -> Sampling:
        biases = self.logit_bias or {}
        return Sampling(
            logit_bias=tuple((token, value if value > -100 else -math.inf) for token, value in biases.items()),
            ignore_eos=self.ignore_eos,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            min_p=self.min_p,
            repeat_penalty=self.repeat_penalty,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            seed=self.seed,
        )


def generation(
    model: LoadedModel,
    prompt: Sequence[int],
    fields: SamplingFields,
    max_tokens: int | None,
    **more: Any,
) -> Generation:
    """A generation for the engine.

    Args:
        more: further attributes of `Generation`.

    Raises:
        PromptTooLarge: the prompt leaves no room for an answer in the model's context.
        InvalidRequest: a bias is for a token that the model does not have.
    """
    resumed = model.check_tokens(fields.resume_tokens, param="resume_tokens")
    if len(prompt) + len(resumed) >= model.context:
        raise PromptTooLarge(
            f"The prompt has {len(prompt) + len(resumed)} tokens; {model.row.id} holds {model.context}, "
            "the answer included.",
            param="prompt",
        )
    model.check_tokens(list(fields.logit_bias or {}), param="logit_bias")
    return Generation(
        model=model.row.id,
        prompt=prompt,
        max_tokens=max_tokens or model.context,
        sampling=fields.sampling(),
        stop=fields.stop or (),
        resumed=resumed,
        request_id=current_request_id.get(),
        timeout_seconds=fields.timeout_seconds,
        **more,
    )


def prompt_tokens(model: LoadedModel, prompt: str | list[int], *, param: str = "prompt") -> list[int]:
    """The ids of a prompt. Raises InvalidRequest where one is not in the vocabulary."""
    return model.tokenize(prompt) if isinstance(prompt, str) else model.check_tokens(prompt, param=param)


Prepare = Callable[[LoadedModel], Generation]


@asynccontextmanager
async def prepared(
    deps: Resources, fields: SamplingFields, model: str | None, prepare: Prepare
) -> AsyncIterator[Generation]:
    """A request made ready: its model loaded and kept, its prompt tokenized.

    In a thread: a tokenizer takes a tenth of a second for a large prompt, and seconds for a hostile one.
    """
    deps.engine.admit()
    async with deps.engine.use(model or deps.default_model, fields.keep_alive) as loaded:
        asked = await in_thread(prepare, loaded)
        yield replace(asked, client=deps.client)


async def begun(items: AsyncIterator[Piece | Finish]) -> AsyncIterator[Piece | Finish]:
    """The items, once the first one is there: what fails before it becomes an HTTP status instead of an event."""
    first = await anext(items)

    async def whole() -> AsyncIterator[Piece | Finish]:
        yield first
        async for item in items:
            yield item

    return whole()


async def visible(
    items: AsyncIterator[Piece | Finish], fields: SamplingFields
) -> AsyncIterator[tuple[Piece | Finish, int]]:
    """The items that a client sees, each with the number of tokens so far.

    A piece without text is only counted, unless the client sees token ids too.
    """
    total, tokens = len(fields.resume_tokens), fields.return_tokens
    async for item in items:
        if isinstance(item, Piece):
            total += len(item.tokens)
            if not item.text and not (tokens and item.tokens) and not item.logprobs:
                continue
        yield item, total


def timings(finish: Finish) -> dict[str, Any]:
    """What a generation cost."""
    return {
        "prompt_tokens": finish.prompt_tokens,
        "cached_tokens": finish.cached_tokens,
        "queue_seconds": round(finish.queue_seconds, 4),
        "prefill_seconds": round(finish.prefill_seconds, 4),
        "decode_seconds": round(finish.decode_seconds, 4),
        "drafted_tokens": finish.drafted_tokens,
        "accepted_tokens": finish.accepted_tokens,
        "resumed_tokens": finish.resumed_tokens,
    }


def describe(row: ModelRow, state: ModelState) -> dict[str, Any]:
    """A model as the native listing shows it."""
    return {
        "id": row.id,
        "name": row.name,
        "languages": list(row.languages),
        "context": row.context,
        "loaded": state.state == "loaded",
        "state": state.state,
        "progress": round(state.progress, 3),
        "reason": state.reason,
        "memory_bytes": state.size,
        "expires_in": None if state.expires_in is None else round(state.expires_in, 1),
        "fallback": row.fallback,
        "licence": row.licence,
    }
