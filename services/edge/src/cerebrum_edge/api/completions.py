"""`/v1/complete` and `/v1/complete/stream`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field

from cerebrum_edge.api.resources import Deps, Resources
from cerebrum_edge.relay.native import NativeRelay, error_event
from cerebrum_edge.routing import choose
from cerebrum_kit.errors import PromptTooLarge
from cerebrum_kit.request_id import current_request_id
from cerebrum_kit.responses import EventStreamResponse, JobResponse
from cerebrum_kit.text import RequestModel, Stop, Text

router = APIRouter()


class CompleteRequest(RequestModel):
    prompt: Annotated[Text, Field(min_length=1)]
    language: Annotated[str, Field(pattern=r"^[A-Za-z0-9+#._-]{1,32}$")] | None = None
    model: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    max_tokens: int = Field(256, ge=1, le=1_048_576)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    stop: Stop | None = None
    seed: int | None = Field(None, ge=0, le=2**63 - 1)
    # Whether a long prompt may be shortened before it is sent. Nothing shortens one yet; `off` will keep it so.
    condense: Literal["auto", "off"] = "auto"


@asynccontextmanager
async def _relay(body: CompleteRequest, deps: Resources) -> AsyncIterator[tuple[NativeRelay, AsyncIterator[bytes]]]:
    """A place, a route, a backend's stream; all of it released when the block ends, however it ends."""
    arrived = deps.clock()
    deps.totals.requests += 1
    if len(body.prompt) > deps.settings.max_prompt_chars:
        raise PromptTooLarge(
            f"The prompt has {len(body.prompt)} characters; {deps.settings.max_prompt_chars} are allowed.",
            param="prompt",
        )
    async with deps.gate.admitted():
        models = await deps.upstream.models()
        route = choose(models, prompt=body.prompt, language=body.language, model=body.model)
        relay = NativeRelay(route)
        async with deps.upstream.stream(_upstream_body(body, route.model)) as events:

            async def outputs() -> AsyncIterator[bytes]:
                try:
                    async for event in events:
                        if relay.tokens == 0:
                            deps.metrics.ttft.observe(deps.clock() - arrived)
                        yield relay.feed(event)
                        if relay.done:
                            return
                    relay.end()
                finally:
                    deps.metrics.tokens.inc(relay.tokens)

            yield relay, outputs()


def _upstream_body(body: CompleteRequest, model: str) -> dict[str, Any]:
    fields = body.model_dump(exclude_none=True, exclude={"language", "condense"})
    return {**fields, "model": model}


@router.post("/v1/complete/stream")
async def complete_stream(body: CompleteRequest, deps: Deps) -> EventStreamResponse:
    """Tokens as they come; the last event has `done`, with the totals or with an error."""

    @asynccontextmanager
    async def open_stream() -> AsyncIterator[AsyncIterator[bytes]]:
        async with _relay(body, deps) as (_, outputs):
            yield outputs

    return EventStreamResponse(
        open_stream,
        lifecycle=deps.lifecycle,
        render_error=lambda error: error_event(error, current_request_id.get()),
    )


@router.post("/v1/complete")
async def complete(body: CompleteRequest, deps: Deps) -> JobResponse:
    """The whole answer as one JSON object. Streamed from the backend all the same, so that its silence is noticed."""

    async def work() -> dict[str, Any]:
        async with _relay(body, deps) as (relay, outputs):
            async for _ in outputs:
                pass
            assert relay.done is not None
            return {"text": relay.text, **relay.done}

    return JobResponse(work, lifecycle=deps.lifecycle)
