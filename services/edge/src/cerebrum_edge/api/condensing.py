"""Where a request's prompt becomes shorter, and what the client is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter
from pydantic import Field

from cerebrum_edge.api.fields import Condense, Language, LenientModel
from cerebrum_edge.api.resources import Deps, Resources
from cerebrum_edge.condense import (
    Condensed,
    budget_for,
    condense,
    condense_fim,
    condense_messages,
    condense_prompt,
)
from cerebrum_edge.language import detect, known
from cerebrum_edge.routing import Route
from cerebrum_kit.errors import PromptTooLarge
from cerebrum_kit.text import Text

router = APIRouter()
T = TypeVar("T")
# Above that the event loop would be felt to stand still.
_AT_ONCE_CHARS = 16_384


@dataclass(frozen=True, slots=True)
class Receipt:
    """What condensing did to a prompt; nothing by default. Sizes are characters."""

    before: int = 0
    after: int = 0
    seconds: float = 0.0

    @property
    def facts(self) -> dict[str, Any] | None:
        """For the `done` event."""
        if not self.before:
            return None
        return {"before": self.before, "after": self.after, "ms": round(self.seconds * 1000, 2)}

    @property
    def headers(self) -> dict[str, str]:
        """For the response."""
        if not self.before:
            return {}
        return {"x-cerebrum-condensed": f"{self.before}->{self.after}; ms {self.seconds * 1000:.1f}"}


async def shorten(deps: Resources, prompt: str, *, route: Route, wanted: Condense) -> tuple[str, Receipt]:
    """A prompt as it is sent."""
    if wanted == "off" or len(prompt) <= deps.settings.condense_min_chars:
        return prompt, Receipt()
    found = await _run(
        lambda: condense_prompt(
            prompt,
            language=route.language,
            context_chars=deps.ratios.characters(route.model, route.context),
            threshold=deps.settings.condense_min_chars,
        ),
        len(prompt),
    )
    return found.text, _counted(deps, found.reason is None, len(prompt), len(found.text), found.seconds)


async def shorten_messages(
    deps: Resources, messages: list[dict[str, Any]], *, route: Route, wanted: Condense
) -> tuple[list[dict[str, Any]], Receipt]:
    """A conversation as it is sent. Each message depends on itself alone, so that an earlier turn never changes."""
    size = sum(len(str(message.get("content"))) for message in messages if message["role"] == "user")
    if wanted == "off" or size <= deps.settings.condense_min_chars:
        return messages, Receipt()
    started = deps.clock()
    found = await _run(
        lambda: condense_messages(
            messages,
            language=None,
            context_chars=deps.ratios.usual(route.context),
            threshold=deps.settings.condense_min_chars,
        ),
        size,
    )
    changed = found.after < found.before
    receipt = _counted(deps, changed, found.before, found.after, deps.clock() - started)
    return [dict(message) for message in found.messages], receipt


async def shorten_sides(
    deps: Resources, prefix: str, suffix: str, *, route: Route, wanted: Condense
) -> tuple[str, str, Receipt]:
    """Both sides of a cursor as they are sent: rewritten only where the model could not hold them."""
    room, size = deps.ratios.characters(route.model, route.context), len(prefix) + len(suffix)
    if wanted == "off" or size <= room:
        return prefix, suffix, Receipt()
    found = await _run(lambda: condense_fim(prefix, suffix, language=route.language, budget=room), size)
    after = len(found.prefix.text) + len(found.suffix.text)
    receipt = _counted(deps, after < size, size, after, found.prefix.seconds)
    return found.prefix.text, found.suffix.text, receipt


def _counted(deps: Resources, changed: bool, before: int, after: int, seconds: float) -> Receipt:
    metrics, totals = deps.metrics, deps.totals
    metrics.condensed["condensed" if changed else "unchanged"].inc()
    metrics.condense_seconds.observe(seconds)
    if not changed:
        return Receipt()
    metrics.condensed_ratio.observe(after / before)
    totals.condensed += 1
    totals.characters_before += before
    totals.characters_after += after
    return Receipt(before, after, seconds)


async def _run(work: Callable[[], T], size: int) -> T:
    return work() if size <= _AT_ONCE_CHARS else await asyncio.to_thread(work)


class CondenseRequest(LenientModel):
    """With `instruction` the prompt is code alone; without it the instruction is looked for in the prompt."""

    prompt: Annotated[Text, Field(min_length=1)]
    instruction: Text | None = None
    language: Language | None = None
    focus: int | None = Field(None, ge=1, le=100_000_000)
    budget: int | None = Field(None, ge=1, le=100_000_000)


@router.post("/v1/condense")
async def dry_run(body: CondenseRequest, deps: Deps) -> dict[str, Any]:
    """What would be sent, and why: nothing is asked of a backend."""
    size, most = len(body.prompt), deps.settings.max_prompt_chars
    if size > most:
        raise PromptTooLarge(f"The prompt has {size} characters; {most} are allowed.", param="prompt")
    deps.metrics.ignored_fields.inc(body.ignored)
    language = known(body.language) if body.language else detect(body.prompt)
    budget = body.budget or budget_for(size)

    def work() -> Condensed:
        if body.instruction is None and body.focus is None and body.budget is None:
            return condense_prompt(body.prompt, language=language, threshold=deps.settings.condense_min_chars)
        return condense(body.prompt, instruction=body.instruction, language=language, focus=body.focus, budget=budget)

    found = await _run(work, size)
    return {
        "condensed": found.reason is None,
        "reason": found.reason,
        "before": size,
        "after": len(found.text),
        "language": found.language or language,
        "budget": budget,
        "units": found.units,
        "kept_units": found.kept_units,
        "kept": found.kept,
        "elided": found.elided,
        "ms": round(found.seconds * 1000, 2),
        "text": found.text,
    }
