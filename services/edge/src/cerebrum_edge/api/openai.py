"""OpenAI's chat completions, completions and models, with and without `/v1` before them.

Clients are told that base URL in both ways. `model` may be left to the edge (`auto`, or nothing); `condense` is the one
field that OpenAI does not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Response

from cerebrum_edge.api.condensing import Receipt, shorten, shorten_messages, shorten_sides
from cerebrum_edge.api.fields import ANY_MODEL, ChatRequest, CompletionRequest, Message, OpenAIRequest
from cerebrum_edge.api.flow import STREAMED, Asked, Plan, begin, collected, streamed
from cerebrum_edge.api.resources import Deps, Resources
from cerebrum_edge.guard.balance import affinity
from cerebrum_edge.relay.assembly import whole
from cerebrum_edge.relay.openai import ChatAnswer, CompletionAnswer, error_event
from cerebrum_edge.routing import ModelInfo, Route, choose
from cerebrum_kit.errors import PromptTooLarge

router = APIRouter()
_OWN = ("stream", "stream_options", "condense", "model")


@router.post("/v1/completions", responses=STREAMED)
@router.post("/completions", include_in_schema=False)
async def completions(body: CompletionRequest, deps: Deps) -> Response:
    """Text behind a prompt, or between a prompt and a suffix."""
    _limit(deps, len(body.prompt) + len(body.suffix or ""), "prompt")
    text = body.prompt if isinstance(body.prompt, str) else ""
    fields = body.known(*_OWN)

    async def plan(models: Sequence[ModelInfo], asked: Asked) -> Plan:
        route = _route(models, body, text)
        sent, receipt = dict(fields), Receipt()
        if isinstance(body.prompt, str) and body.suffix is not None:
            sent["prompt"], sent["suffix"], receipt = await shorten_sides(
                deps, body.prompt, body.suffix, route=route, wanted=body.condense
            )
        elif isinstance(body.prompt, str) and not body.echo:  # what is echoed is not for rewriting
            sent["prompt"], receipt = await shorten(deps, body.prompt, route=route, wanted=body.condense)
        asked.headers.update(receipt.headers)
        answer = CompletionAnswer({**sent, **_upstream(body, route)})
        return Plan(answer, route, affinity(text))

    return _respond(body, begin(deps, plan, ignored=body.ignored))


@router.post("/v1/chat/completions", responses=STREAMED)
@router.post("/chat/completions", include_in_schema=False)
async def chat_completions(body: ChatRequest, deps: Deps) -> Response:
    """The next message of a conversation."""
    texts = [_text(message) for message in body.messages]
    _limit(deps, sum(map(len, texts)), "messages")
    newest = next((_text(message) for message in reversed(body.messages) if message.role == "user"), "")
    fields = body.known(*_OWN)

    async def plan(models: Sequence[ModelInfo], asked: Asked) -> Plan:
        route = _route(models, body, newest)
        messages, receipt = await shorten_messages(deps, fields["messages"], route=route, wanted=body.condense)
        asked.headers.update(receipt.headers)
        answer = ChatAnswer({**fields, "messages": messages, **_upstream(body, route)})
        return Plan(answer, route, affinity("".join(texts[:2])))

    return _respond(body, begin(deps, plan, ignored=body.ignored))


def _respond(body: OpenAIRequest, asked: Asked) -> Response:
    return streamed(asked, error_event) if body.stream else collected(asked, whole)


def _upstream(body: OpenAIRequest, route: Route) -> dict[str, Any]:
    usage = body.wants_usage or not body.stream
    return {"model": route.model, "stream": True, "stream_options": {"include_usage": usage}}


def _route(models: Sequence[ModelInfo], body: OpenAIRequest, text: str) -> Route:
    return choose(models, prompt=text, model=None if body.model in ANY_MODEL else body.model)


def _text(message: Message) -> str:
    if isinstance(message.content, list):
        return "\n".join(part.text for part in message.content)
    return message.content or ""


def _limit(deps: Resources, length: int, param: str) -> None:
    most = deps.settings.max_prompt_chars
    if length > most:
        raise PromptTooLarge(f"The prompt has {length} characters; {most} are allowed.", param=param)
