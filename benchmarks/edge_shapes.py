"""What the benchmark's backend answers: the inference service's own shapes, as the bytes of chunked bodies.

They are made once per kind of request and then only written, so that a backend costs next to nothing beside what is
measured in front of it. tests/bench compares them with the real service's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

Api = Literal["native", "completions", "chat"]
MODEL, PACED = "bench", "bench-paced"
TOKENS = 100
LAST_CHUNK = b"0\r\n\r\n"
DONE = b"data: [DONE]\n\n"
_MOST_TOKENS = 100_000
_APIS: dict[str, Api] = {
    "/v1/inference": "native",
    "/v1/inference/stream": "native",
    "/v1/completions": "completions",
    "/v1/chat/completions": "chat",
}
_TIMINGS = {
    "prompt_tokens": 8,
    "cached_tokens": 0,
    "queue_seconds": 0.0,
    "prefill_seconds": 0.0,
    "decode_seconds": 0.001,
    "drafted_tokens": 0,
    "accepted_tokens": 0,
    "resumed_tokens": 0,
}


@dataclass(frozen=True)
class Ask:
    """The part of a request that decides what the answer looks like.

    Attributes:
        ids: every event carries `tokens`, the ids of its text.
        usage: an OpenAI stream ends with an event that has the counts.
    """

    api: Api
    model: str
    tokens: int
    stream: bool
    ids: bool = False
    usage: bool = False


def read_ask(path: str, body: bytes) -> Ask | None:
    """The request in `body`; None where the path is none that generates.

    Raises:
        ValueError: the body is no JSON object, or asks for a number of tokens that is none.
    """
    api = _APIS.get(path)
    if api is None:
        return None
    fields = json.loads(body)
    if not isinstance(fields, dict):
        raise ValueError("the body is not a JSON object")
    limit = fields.get("max_completion_tokens") or fields.get("max_tokens") or TOKENS
    if not isinstance(limit, int) or not 0 < limit <= _MOST_TOKENS:
        raise ValueError(f"max_tokens: {limit!r} is not between 1 and {_MOST_TOKENS}")
    return Ask(
        api=api,
        model=str(fields.get("model") or MODEL),
        tokens=limit,
        stream=path.endswith("/stream") or bool(fields.get("stream")),
        ids=bool(fields.get("return_tokens")),
        usage=bool((fields.get("stream_options") or {}).get("include_usage")),
    )


def word(at: int) -> str:
    """The text of the token with this number, another one for each: what is lost or doubled on the way shows."""
    return f" t{at}"


def text(tokens: int) -> str:
    return "".join(word(at) for at in range(tokens))


@lru_cache(maxsize=64)
def stream_chunks(ask: Ask) -> tuple[bytes, ...]:
    """The events of a stream in order, each as one chunk of a body in chunked transfer coding, without the last."""
    events = _native_events(ask) if ask.api == "native" else _openai_events(ask)
    return tuple(b"%x\r\n%s\r\n" % (len(event), event) for event in events)


@lru_cache(maxsize=64)
def whole(ask: Ask) -> bytes:
    """The whole answer as one JSON object."""
    ids = {"tokens": list(range(ask.tokens))} if ask.ids else {}
    if ask.api == "native":
        return _json({"text": text(ask.tokens), **ids, **_facts(ask)})
    content: dict[str, Any] = {"text": text(ask.tokens)}
    if ask.api == "chat":
        content = {"message": {"role": "assistant", "content": text(ask.tokens), "refusal": None}}
    choice = {"index": 0, **content, "logprobs": None, **ids, "finish_reason": "length"}
    kind = "chat.completion" if ask.api == "chat" else "text_completion"
    return _json({**_head(ask, kind), "choices": [choice], "usage": _usage(ask), "timings": _TIMINGS})


def listing() -> bytes:
    """`GET /v1/models`"""
    rows = [(MODEL, True), (PACED, False)]
    return _json(
        {
            "object": "list",
            "data": [{"id": name, "object": "model", "created": 0, "owned_by": "cerebrum"} for name, _ in rows],
            "models": [
                {
                    "id": name,
                    "name": "Benchmark",
                    "languages": ["python"],
                    "context": 32768,
                    "loaded": True,
                    "state": "loaded",
                    "progress": 1.0,
                    "reason": None,
                    "memory_bytes": 1,
                    "expires_in": None,
                    "fallback": fallback,
                    "licence": "none",
                }
                for name, fallback in rows
            ],
            "default": MODEL,
        }
    )


def health() -> bytes:
    """`GET /health`"""
    facts = {"status": "ok", "service": "inference", "version": "0", "release": "bench", "uptime": 1.0, "problem": None}
    return _json(facts)


def error(code: str, message: str) -> bytes:
    kind = "invalid_request_error"
    return _json({"error": {"message": message, "type": kind, "code": code, "param": None, "request_id": "bench"}})


def _native_events(ask: Ask) -> list[bytes]:
    rows: list[dict[str, Any]] = []
    for at in range(ask.tokens):
        ids = {"tokens": [at]} if ask.ids else {}
        rows.append({"token": word(at), "total_tokens": at + 1, **ids})
    return [_event(row) for row in [*rows, {"done": True, **_facts(ask)}]]


def _openai_events(ask: Ask) -> list[bytes]:
    chat = ask.api == "chat"
    head = _head(ask, "chat.completion.chunk" if chat else "text_completion")
    if ask.usage:
        head["usage"] = None

    def event(content: dict[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": 0, **content, "logprobs": None, "finish_reason": reason}
        return _event({**head, "choices": [choice]})

    found = [event({"delta": {"role": "assistant", "content": ""}})] if chat else []
    for at in range(ask.tokens):
        ids = {"tokens": [at]} if ask.ids else {}
        found.append(event(({"delta": {"content": word(at)}} if chat else {"text": word(at)}) | ids))
    found.append(event({"delta": {}} if chat else {"text": ""}, "length"))
    if ask.usage:
        found.append(_event({**head, "choices": [], "usage": _usage(ask), "timings": _TIMINGS}))
    return [*found, DONE]


def _head(ask: Ask, kind: str) -> dict[str, Any]:
    prefix = "chatcmpl-" if ask.api == "chat" else "cmpl-"
    return {"id": prefix + "0" * 32, "object": kind, "created": 1_700_000_000, "model": ask.model}


def _facts(ask: Ask) -> dict[str, Any]:
    return {
        "total_tokens": ask.tokens,
        "inference_time": 0.001,
        "model": ask.model,
        "finish_reason": "length",
        "tokens_per_second": 1000.0,
        "timings": _TIMINGS,
    }


def _usage(ask: Ask) -> dict[str, Any]:
    prompt = _TIMINGS["prompt_tokens"]
    return {
        "prompt_tokens": prompt,
        "completion_tokens": ask.tokens,
        "total_tokens": prompt + ask.tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


def _event(payload: dict[str, Any]) -> bytes:
    return b"data: " + _json(payload) + b"\n\n"


def _json(payload: dict[str, Any]) -> bytes:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
