"""OpenAI's completions and chat completions, streamed or whole.

Parameters that would change the answer and are not supported are refused by name; the ones that only label a request
are taken and have no effect. A stream that fails ends with an `error` event and without `[DONE]`: that is the one end
that OpenAI's own client reports as an error.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, ClassVar, Literal

from fastapi import APIRouter, Response
from pydantic import Field

from cerebrum_inference.api.common import (
    DEFAULT_MAX_TOKENS,
    Deps,
    Prepare,
    Resources,
    SamplingFields,
    collect,
    generation,
    pieces_with_text,
    prepared,
)
from cerebrum_inference.engine import Finish, Generation, LoadedModel
from cerebrum_kit import sse
from cerebrum_kit.errors import CerebrumError, InvalidRequest, render_openai
from cerebrum_kit.request_id import current_request_id
from cerebrum_kit.responses import EventStreamResponse, JobResponse, OpenStream
from cerebrum_kit.text import RequestModel, Text

router = APIRouter()


class StreamOptions(RequestModel):
    include_usage: bool = False
    include_obfuscation: bool = False


class OpenAIFields(SamplingFields):
    """What both endpoints take beside their prompt."""

    model: str | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: Literal[1] = 1
    # Labels without effect on the answer.
    user: str | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    service_tier: str | None = None

    @property
    def wants_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage


class CompletionRequest(OpenAIFields):
    prompt: Annotated[Text, Field(min_length=1)] | Annotated[list[int], Field(min_length=1)]
    suffix: Text | None = None
    max_tokens: int = Field(DEFAULT_MAX_TOKENS, ge=1, le=1_048_576)
    best_of: Literal[1] = 1
    echo: Literal[False] = False
    logprobs: None = None


class TextPart(RequestModel):
    type: Literal["text"]
    text: Text


class ChatMessage(RequestModel):
    role: Literal["system", "developer", "user", "assistant"]
    content: Text | list[TextPart]
    name: str | None = None

    def plain(self) -> dict[str, Any]:
        """The message as templates know it."""
        role = "system" if self.role == "developer" else self.role
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return {"role": role, "content": text}


class ResponseFormat(RequestModel):
    type: Literal["text"]


class ChatRequest(OpenAIFields):
    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    max_tokens: int | None = Field(None, ge=1, le=1_048_576)
    max_completion_tokens: int | None = Field(None, ge=1, le=1_048_576)
    response_format: ResponseFormat | None = None
    logprobs: Literal[False] | None = None


@router.post("/v1/completions")
async def completions(body: CompletionRequest, deps: Deps) -> Response:
    def prompt(model: LoadedModel) -> Generation:
        return generation(model, _completion_prompt(model, body), body, body.max_tokens)

    return _answer(body, deps, prompt, _CompletionShape())


@router.post("/v1/chat/completions")
async def chat_completions(body: ChatRequest, deps: Deps) -> Response:
    def prompt(model: LoadedModel) -> Generation:
        try:
            tokens = model.chat_prompt([message.plain() for message in body.messages])
        except ValueError as exc:
            raise InvalidRequest(f"{exc}.", param="messages") from exc
        return generation(model, tokens, body, body.max_completion_tokens or body.max_tokens)

    return _answer(body, deps, prompt, _ChatShape())


def _completion_prompt(model: LoadedModel, body: CompletionRequest) -> list[int]:
    if isinstance(body.prompt, list):
        if body.suffix is not None:
            raise InvalidRequest("suffix goes with a prompt that is text, not token ids.", param="suffix")
        return model.check_tokens(body.prompt)
    if body.suffix is None:
        return model.tokenize(body.prompt)
    tokens = model.infill_prompt(body.prompt, body.suffix)
    if tokens is None:
        raise InvalidRequest(f"{model.row.id} has no tokens for filling in the middle.", param="suffix")
    return tokens


class _CompletionShape:
    prefix, whole, chunk = "cmpl-", "text_completion", "text_completion"
    opening: ClassVar[dict[str, Any] | None] = None

    @staticmethod
    def choice(text: str) -> dict[str, Any]:
        return {"text": text}

    delta = choice


class _ChatShape:
    prefix, whole, chunk = "chatcmpl-", "chat.completion", "chat.completion.chunk"
    opening: ClassVar[dict[str, Any] | None] = {"delta": {"role": "assistant", "content": ""}}

    @staticmethod
    def choice(text: str) -> dict[str, Any]:
        return {"message": {"role": "assistant", "content": text, "refusal": None}}

    @staticmethod
    def delta(text: str) -> dict[str, Any]:
        return {"delta": {"content": text} if text else {}}


_Shape = _CompletionShape | _ChatShape


def _answer(body: OpenAIFields, deps: Resources, prompt: Prepare, shape: _Shape) -> JobResponse | EventStreamResponse:
    if body.stream:
        return EventStreamResponse(
            _stream(body, deps, prompt, shape),
            lifecycle=deps.lifecycle,
            render_error=_error_event,
        )

    async def work() -> dict[str, Any]:
        async with prepared(deps, body.model, prompt) as asked:
            result = await collect(deps.engine, asked)
        choice = {"index": 0, **shape.choice(result.text), "logprobs": None, "finish_reason": result.finish.reason}
        return {**_head(shape.whole, shape, asked), "choices": [choice], "usage": _usage(result.finish)}

    return JobResponse(work, lifecycle=deps.lifecycle)


def _stream(body: OpenAIFields, deps: Resources, prompt: Prepare, shape: _Shape) -> OpenStream:
    @asynccontextmanager
    async def open_stream() -> AsyncIterator[AsyncIterator[bytes]]:
        async with prepared(deps, body.model, prompt) as asked, deps.engine.generate(asked) as items:
            head = _head(shape.chunk, shape, asked)
            if body.wants_usage:
                head["usage"] = None

            def event(choice: dict[str, Any], reason: str | None = None) -> bytes:
                row = {"index": 0, **choice, "logprobs": None, "finish_reason": reason}
                return sse.encode_json({**head, "choices": [row]})

            async def events() -> AsyncIterator[bytes]:
                if shape.opening is not None:
                    yield event(shape.opening)
                async for item, _ in pieces_with_text(items):
                    if isinstance(item, Finish):
                        yield event(shape.delta(""), item.reason)
                        if body.wants_usage:
                            yield sse.encode_json({**head, "choices": [], "usage": _usage(item)})
                        yield sse.DONE
                    else:
                        yield event(shape.delta(item.text))

            yield events()

    return open_stream


def _head(kind: str, shape: _Shape, asked: Generation) -> dict[str, Any]:
    return {
        "id": f"{shape.prefix}{uuid.uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": asked.model,
    }


def _usage(finish: Finish) -> dict[str, Any]:
    return {
        "prompt_tokens": finish.prompt_tokens,
        "completion_tokens": finish.generated_tokens,
        "total_tokens": finish.prompt_tokens + finish.generated_tokens,
        "prompt_tokens_details": {"cached_tokens": finish.cached_tokens},
    }


def _error_event(error: CerebrumError) -> bytes:
    return sse.encode_json(render_openai(error, current_request_id.get()))
