"""OpenAI's completions and chat completions, streamed or whole.

A stream that fails ends with an `error` event and without `[DONE]`: that is the one end that OpenAI's own client
reports as an error.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, Response

from cerebrum_inference.api.common import (
    KEEP_ALIVE_SECONDS,
    Deps,
    Prepare,
    Resources,
    begun,
    generation,
    prepared,
    prompt_tokens,
    timings,
    visible,
)
from cerebrum_inference.api.openai_schema import (
    ChatRequest,
    CompletionRequest,
    ObjectFormat,
    OpenAIFields,
    SchemaFormat,
)
from cerebrum_inference.api.openai_shapes import ChatShape, CompletionShape, Shape
from cerebrum_inference.engine import Finish, Generation, LoadedModel, Piece
from cerebrum_inference.grammar import (
    SchemaError,
    Tool,
    ToolCallParser,
    grammar_for_json_object,
    grammar_for_schema,
    grammar_for_tools,
    tools_prompt,
)
from cerebrum_kit import sse
from cerebrum_kit.errors import CerebrumError, InvalidRequest, render_openai
from cerebrum_kit.request_id import current_request_id
from cerebrum_kit.responses import EventStreamResponse, JobResponse, OpenStream

router = APIRouter()

# A shape is made when the model is at hand: what is echoed may be the text of token ids.
MakeShape = Callable[[], Shape]


@router.post("/v1/completions")
async def completions(body: CompletionRequest, deps: Deps) -> Response:
    echoed = shown = ""

    def prepare(model: LoadedModel) -> Generation:
        nonlocal echoed, shown
        tokens = _completion_prompt(model, body)
        if body.echo:
            echoed = body.prompt if isinstance(body.prompt, str) else model.detokenize(tokens)
        shown = model.shown(body.resume_tokens, body.stop or ())
        again = bool(body.resume_tokens)
        reported = {"logprobs": body.logprobs, "prompt_logprobs": body.echo and body.logprobs is not None and not again}
        return generation(model, tokens, body, body.max_tokens, **reported)

    def shape() -> Shape:
        made = CompletionShape(echo=echoed, logprobs=body.logprobs is not None, tokens=body.return_tokens)
        if body.resume_tokens:
            made.resume(Piece(shown, tuple(body.resume_tokens)))
        return made

    return _answer(body, deps, prepare, shape)


@router.post("/v1/chat/completions")
async def chat_completions(body: ChatRequest, deps: Deps) -> Response:
    # A client's schema takes up to a tenth of a second.
    grammar = await asyncio.to_thread(_grammar, body)
    calling = body.choice != "none"
    count = (body.top_logprobs or 0) if body.logprobs else None
    shown = ""

    def prepare(model: LoadedModel) -> Generation:
        nonlocal shown
        shown = model.shown(body.resume_tokens, body.stop or ())
        try:
            tokens = _chat_prompt(model, body, calling)
        except ValueError as exc:
            raise InvalidRequest(f"{exc}.", param="messages") from exc
        limit = body.max_completion_tokens or body.max_tokens
        return generation(model, tokens, body, limit, grammar=grammar, logprobs=count)

    def shape() -> Shape:
        parser = ToolCallParser() if calling else None
        made = ChatShape(parser=parser, logprobs=bool(body.logprobs), tokens=body.return_tokens)
        if body.resume_tokens:
            made.resume(Piece(shown, tuple(body.resume_tokens)))
        return made

    return _answer(body, deps, prepare, shape)


def _completion_prompt(model: LoadedModel, body: CompletionRequest) -> list[int]:
    if body.suffix is None:
        return prompt_tokens(model, body.prompt)
    if isinstance(body.prompt, list):
        raise InvalidRequest("suffix goes with a prompt that is text, not token ids.", param="suffix")
    tokens = model.infill_prompt(body.prompt, body.suffix)
    if tokens is None:
        raise InvalidRequest(f"{model.row.id} has no tokens for filling in the middle.", param="suffix")
    return tokens


def _tools(body: ChatRequest) -> list[Tool]:
    return [
        Tool(one.function.name, one.function.parameters, one.function.description or "") for one in body.tools or ()
    ]


def _grammar(body: ChatRequest) -> str | None:
    """What the answer must look like, in our own grammar; a client's never reaches llama.cpp."""
    try:
        if body.choice != "none":
            return grammar_for_tools(_tools(body), choice=body.choice)
        if isinstance(body.response_format, SchemaFormat):
            return grammar_for_schema(body.response_format.json_schema.schema_)
    except SchemaError as exc:
        param = "tools" if body.choice != "none" else "response_format.json_schema.schema"
        raise InvalidRequest(f"{exc}.", param=param) from exc
    return grammar_for_json_object() if isinstance(body.response_format, ObjectFormat) else None


def _chat_prompt(model: LoadedModel, body: ChatRequest, calling: bool) -> list[int]:
    messages = [message.plain() for message in body.messages]
    if not calling:
        return model.chat_prompt(messages)
    if model.knows_tools:
        return model.chat_prompt(messages, body.tools_plain())
    explained = tools_prompt(_tools(body))
    if messages[0]["role"] == "system":
        messages[0] = {**messages[0], "content": f"{messages[0]['content']}\n\n{explained}"}
    else:
        messages.insert(0, {"role": "system", "content": explained})
    return model.chat_prompt(messages)


def _answer(body: OpenAIFields, deps: Resources, prepare: Prepare, make_shape: MakeShape) -> Response:
    if body.stream:
        return EventStreamResponse(
            _stream(body, deps, prepare, make_shape),
            lifecycle=deps.lifecycle,
            render_error=_error_event,
            keep_alive_seconds=KEEP_ALIVE_SECONDS,
        )

    async def work() -> dict[str, Any]:
        async with prepared(deps, body, body.model, prepare) as asked, deps.engine.generate(asked) as items:
            shape = make_shape()
            async for item in items:
                if isinstance(item, Finish):
                    _, _, reason = shape.finish(item)
                    choice = {"index": 0, **shape.whole(), "finish_reason": reason}
                    head = _head(shape.whole_object, shape, asked)
                    return {**head, "choices": [choice], "usage": _usage(item), "timings": timings(item)}
                shape.feed(item)
        raise AssertionError("an engine's stream ends with Finish")

    return JobResponse(work, lifecycle=deps.lifecycle)


def _stream(body: OpenAIFields, deps: Resources, prepare: Prepare, make_shape: MakeShape) -> OpenStream:
    @asynccontextmanager
    async def open_stream() -> AsyncIterator[AsyncIterator[bytes]]:
        async with prepared(deps, body, body.model, prepare) as asked, deps.engine.generate(asked) as items:
            under_way = await begun(items)
            shape = make_shape()
            head = _head(shape.chunk_object, shape, asked)
            if body.wants_usage:
                head["usage"] = None

            def event(choice: dict[str, Any], reason: str | None = None) -> bytes:
                return sse.encode_json({**head, "choices": [{"index": 0, **choice, "finish_reason": reason}]})

            async def events() -> AsyncIterator[bytes]:
                if not body.resume_tokens:
                    for choice in shape.opening():
                        yield event(choice)
                async for item, _ in visible(under_way, body):
                    if not isinstance(item, Finish):
                        for choice in shape.feed(item):
                            yield event(choice)
                        continue
                    rest, last, reason = shape.finish(item)
                    for choice in rest:
                        yield event(choice)
                    yield event(last, reason)
                    if body.wants_usage:
                        facts = {"usage": _usage(item), "timings": timings(item)}
                        yield sse.encode_json({**head, "choices": [], **facts})
                    yield sse.DONE

            yield events()

    return open_stream


def _head(kind: str, shape: Shape, asked: Generation) -> dict[str, Any]:
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
