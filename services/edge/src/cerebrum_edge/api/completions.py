"""`/v1/complete` and `/v1/complete/stream`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Response

from cerebrum_edge.api.condensing import shorten
from cerebrum_edge.api.fields import ANY_MODEL, CompleteRequest
from cerebrum_edge.api.flow import STREAMED, Asked, Plan, begin, collected, streamed
from cerebrum_edge.api.resources import Deps, Resources
from cerebrum_edge.guard.balance import affinity
from cerebrum_edge.relay.native import NativeAnswer, error_event, whole
from cerebrum_edge.routing import ModelInfo, choose
from cerebrum_kit.errors import PromptTooLarge
from cerebrum_kit.responses import EventStreamResponse, JobResponse

router = APIRouter()


def _asked(body: CompleteRequest, deps: Resources) -> Asked:
    length, most = len(body.prompt), deps.settings.max_prompt_chars
    if length > most:
        raise PromptTooLarge(f"The prompt has {length} characters; {most} are allowed.", param="prompt")

    async def plan(models: Sequence[ModelInfo], asked: Asked) -> Plan:
        name = None if body.model in ANY_MODEL else body.model
        route = choose(models, prompt=body.prompt, language=body.language, model=name)
        prompt, receipt = await shorten(deps, body.prompt, route=route, wanted=body.condense)
        asked.headers.update(receipt.headers)
        fields: dict[str, Any] = {
            **body.known("language", "condense"),
            "max_tokens": body.max_tokens,
            "prompt": prompt,
            "model": route.model,
        }
        facts = {"language": route.language, "condensed": receipt.facts}
        answer = NativeAnswer(fields, receipt=facts, elapsed=asked.elapsed)

        def over() -> None:
            deps.ratios.observe(route.model, len(prompt), answer.prompt_tokens)

        return Plan(answer, route, affinity(prompt), over)

    return begin(deps, plan, ignored=body.ignored)


@router.post("/v1/complete/stream", response_class=Response, responses=STREAMED)
async def complete_stream(body: CompleteRequest, deps: Deps) -> EventStreamResponse:
    """Tokens as they come; the last event has `done`, with the totals or with an error."""
    return streamed(_asked(body, deps), error_event)


@router.post("/v1/complete")
async def complete(body: CompleteRequest, deps: Deps) -> JobResponse:
    """The whole answer as one JSON object."""
    return collected(_asked(body, deps), whole)
