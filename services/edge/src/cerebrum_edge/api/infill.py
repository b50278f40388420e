"""llama.cpp's `/infill`, for editors that complete while one types: passed on whole, and cancelled with its client.

Nothing of it is condensed: what stands around the cursor is what it is about. These requests have no stream, and most
of them are given up half-way.
"""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter
from pydantic import Field

from cerebrum_edge.api.fields import ANY_MODEL, LenientModel, ModelName
from cerebrum_edge.api.flow import arrive
from cerebrum_edge.api.resources import Deps
from cerebrum_edge.guard.balance import affinity
from cerebrum_edge.routing import choose
from cerebrum_kit.errors import PromptTooLarge
from cerebrum_kit.responses import JobResponse
from cerebrum_kit.text import Stop, Text

router = APIRouter()


class InfillRequest(LenientModel):
    input_prefix: Text
    input_suffix: Text
    prompt: Text = ""
    model: ModelName | None = None
    # 0 warms the cache up for what comes next.
    n_predict: int = Field(256, ge=-1, le=1_048_576)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=0, le=1000)
    min_p: float | None = Field(None, ge=0, le=1)
    seed: int | None = Field(None, ge=-1, le=2**63 - 1)
    stop: Stop | None = None


@router.post("/infill")
@router.post("/v1/infill", include_in_schema=False)
async def infill(body: InfillRequest, deps: Deps) -> JobResponse:
    """What belongs between two texts, as one JSON object."""
    text = body.input_prefix + body.prompt
    length, most = len(text) + len(body.input_suffix), deps.settings.max_prompt_chars
    if length > most:
        raise PromptTooLarge(f"The texts have {length} characters; {most} are allowed.", param="input_prefix")
    fields = {name: value for name, value in body.known().items() if value != -1}
    fields = {**fields, **({"n_predict": 1} if body.n_predict == 0 else {})}
    arrived = arrive(deps, ignored=body.ignored)

    async def work() -> dict[str, Any] | bytes:
        async with deps.gate.admitted(arrived.waits):
            route = choose(await arrived.models(), prompt=text, model=None if body.model in ANY_MODEL else body.model)
            ask = {**fields, "model": route.model}
            # An editor asks again by itself, with newer text: it is not worth waiting for a backend to come back.
            answer = await deps.relay.ask(
                "/infill", ask, model=route.model, key=affinity(text), waits=arrived.waits, patient=False
            )
            arrived.first()
            return {**json.loads(answer), "content": ""} if body.n_predict == 0 else answer

    return JobResponse(work, lifecycle=deps.lifecycle)
