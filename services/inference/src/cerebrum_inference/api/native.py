"""The native API: what the edge speaks to."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any, Self

import psutil
from fastapi import APIRouter
from pydantic import Field, model_validator

from cerebrum_inference.api.common import (
    DEFAULT_MAX_TOKENS,
    KEEP_ALIVE_SECONDS,
    Deps,
    Prompt,
    Resources,
    SamplingFields,
    TokenId,
    begun,
    describe,
    generation,
    prepared,
    prompt_tokens,
    timings,
    visible,
)
from cerebrum_inference.engine import Finish, Generation, LoadedModel
from cerebrum_inference.threads import in_thread
from cerebrum_kit import sse
from cerebrum_kit.errors import CerebrumError, InvalidRequest, Overloaded, render_openai
from cerebrum_kit.request_id import current_request_id
from cerebrum_kit.responses import EventStreamResponse, JobResponse
from cerebrum_kit.text import RequestModel, Text

router = APIRouter()


class InferenceRequest(SamplingFields):
    prompt: Prompt
    model: str | None = None
    max_tokens: int = Field(DEFAULT_MAX_TOKENS, ge=1, le=1_048_576)

    def generation(self, model: LoadedModel) -> Generation:
        return generation(model, prompt_tokens(model, self.prompt), self, self.max_tokens)


class InfillRequest(SamplingFields):
    """As llama.cpp's server has it: what stands before and behind the place, and files around it."""

    input_prefix: Text
    input_suffix: Text
    prompt: Text = ""
    model: str | None = None
    n_predict: int = Field(DEFAULT_MAX_TOKENS, ge=1, le=1_048_576)

    def generation(self, model: LoadedModel) -> Generation:
        tokens = model.infill_prompt(self.input_prefix + self.prompt, self.input_suffix)
        if tokens is None:
            raise InvalidRequest(f"{model.row.id} has no tokens for filling in the middle.", param="model")
        return generation(model, tokens, self, self.n_predict)


class TokenizeRequest(RequestModel):
    """A text to be made tokens, or tokens to be made text."""

    text: Text | None = None
    tokens: list[TokenId] | None = None
    model: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.text is None) == (self.tokens is None):
            raise ValueError("text or tokens, one of them")
        return self


def summary(asked: Generation, finish: Finish, seconds: float) -> dict[str, Any]:
    """The facts of a finished generation, for the `done` event and for the whole answer."""
    return {
        "total_tokens": finish.generated_tokens,
        "inference_time": round(seconds, 4),
        "model": asked.model,
        "finish_reason": finish.reason,
        "tokens_per_second": round(finish.tokens_per_second, 2),
        "timings": timings(finish),
    }


def error_event(error: CerebrumError) -> bytes:
    return sse.encode_json({**render_openai(error, current_request_id.get()), "done": True})


def _whole(body: InferenceRequest | InfillRequest, deps: Resources, text_field: str) -> JobResponse:
    async def work() -> dict[str, Any]:
        started = time.monotonic()
        text: list[str] = []
        tokens = list(body.resume_tokens)

        def prepare(model: LoadedModel) -> Generation:
            text.append(model.shown(body.resume_tokens, body.stop or ()))
            return body.generation(model)

        async with prepared(deps, body, body.model, prepare) as asked, deps.engine.generate(asked) as items:
            async for item in items:
                if isinstance(item, Finish):
                    facts = summary(asked, item, time.monotonic() - started)
                    more = {"tokens": tokens} if body.return_tokens else {}
                    return {text_field: "".join(text), **more, **facts}
                text.append(item.text)
                tokens += item.tokens
        raise AssertionError("an engine's stream ends with Finish")

    return JobResponse(work, lifecycle=deps.lifecycle)


def _stream(body: InferenceRequest, deps: Resources) -> EventStreamResponse:
    @asynccontextmanager
    async def open_stream() -> AsyncIterator[AsyncIterator[bytes]]:
        started = time.monotonic()
        async with prepared(deps, body, body.model, body.generation) as asked, deps.engine.generate(asked) as items:
            under_way = await begun(items)

            async def events() -> AsyncIterator[bytes]:
                async for item, total in visible(under_way, body):
                    if isinstance(item, Finish):
                        facts = summary(asked, item, time.monotonic() - started)
                        yield sse.encode_json({"done": True, **facts})
                    elif body.return_tokens:
                        yield sse.encode_json({"token": item.text, "total_tokens": total, "tokens": item.tokens})
                    else:
                        yield sse.encode_json({"token": item.text, "total_tokens": total})

            yield events()

    return EventStreamResponse(
        open_stream, lifecycle=deps.lifecycle, render_error=error_event, keep_alive_seconds=KEEP_ALIVE_SECONDS
    )


@router.post("/v1/inference")
async def infer(body: InferenceRequest, deps: Deps) -> JobResponse:
    """The whole answer as one JSON object."""
    return _whole(body, deps, "text")


@router.post("/v1/inference/stream")
async def infer_stream(body: InferenceRequest, deps: Deps) -> EventStreamResponse:
    """The answer as server-sent events; the last one has `done`, with the totals or with an error."""
    return _stream(body, deps)


@router.post("/infill")
async def infill(body: InfillRequest, deps: Deps) -> JobResponse:
    """What belongs between two texts, as one JSON object."""
    return _whole(body, deps, "content")


@router.get("/v1/models")
async def models(deps: Deps) -> dict[str, Any]:
    """The installed models, natively (`models`) and in OpenAI's form (`object`, `data`), in one object."""
    rows = [row for row in deps.registry.rows if deps.registry.installed(row)]
    return {
        "object": "list",
        "data": [{"id": row.id, "object": "model", "created": 0, "owned_by": "cerebrum"} for row in rows],
        "models": [describe(row, deps.registry.state(row.id)) for row in rows],
        "default": deps.default_model,
    }


@router.get("/v1/stats")
async def stats(deps: Deps) -> dict[str, Any]:
    slots = deps.engine.slots()
    return {
        "uptime": round(deps.lifecycle.uptime, 3),
        "memory_mb": round(psutil.Process().memory_info().rss / 1e6, 1),
        "models_loaded": list(deps.engine.loaded()),
        "slots_total": len(slots),
        "slots_busy": sum(slot.state != "idle" for slot in slots),
    }


@router.get("/v1/slots")
async def slots(deps: Deps) -> dict[str, Any]:
    return {"slots": [asdict(slot) for slot in deps.engine.slots()]}


@router.post("/v1/load/{model}")
async def load(model: str, deps: Deps) -> JobResponse:
    async def work() -> dict[str, Any]:
        started = time.monotonic()
        async with deps.engine.use(model) as loaded:
            seconds = round(time.monotonic() - started, 3)
            return {"model": loaded.row.id, "context": loaded.context, "seconds": seconds}

    return JobResponse(work, lifecycle=deps.lifecycle)


@router.post("/v1/unload/{model}")
async def unload(model: str, deps: Deps) -> dict[str, Any]:
    return {"model": model, "unloaded": await deps.engine.unload(model)}


@router.post("/v1/cleanup")
async def cleanup(deps: Deps) -> dict[str, Any]:
    """Unloads every model that is not generating."""
    freed, busy = [], []
    for model in deps.engine.loaded():
        try:
            if await deps.engine.unload(model):
                freed.append(model)
        except Overloaded:
            busy.append(model)
    return {"unloaded": freed, "busy": busy}


@router.post("/v1/tokenize")
async def tokenize(body: TokenizeRequest, deps: Deps) -> JobResponse:
    async def work() -> dict[str, Any]:
        async with deps.engine.use(body.model or deps.default_model) as model:
            if body.tokens is not None:
                tokens = model.check_tokens(body.tokens, param="tokens")
                text = await in_thread(model.detokenize, tokens)
                return {"model": model.row.id, "text": text, "count": len(tokens)}
            tokens = await in_thread(model.tokenize, body.text or "")
            return {"model": model.row.id, "tokens": tokens, "count": len(tokens)}

    return JobResponse(work, lifecycle=deps.lifecycle)
