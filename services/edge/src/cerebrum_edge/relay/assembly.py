"""A whole OpenAI answer out of its chunks, pure. The edge streams from its backends even where its client does not."""

from __future__ import annotations

import json
from typing import Any

from cerebrum_kit.sse import DONE


def whole(events: bytes) -> dict[str, Any]:
    """The completion, or chat completion, that a finished stream of client's events says."""
    chunks = [json.loads(event.removeprefix(b"data: ")) for event in events.removesuffix(DONE).split(b"\n\n") if event]
    first, last = chunks[0], chunks[-1]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    chat = first["object"] == "chat.completion.chunk"
    choice = {
        "index": 0,
        **(_message(choices) if chat else {"text": "".join(one["text"] for one in choices)}),
        "logprobs": _logprobs([one["logprobs"] for one in choices if one.get("logprobs")]),
        "finish_reason": next(one["finish_reason"] for one in reversed(choices) if one["finish_reason"]),
    }
    ids = [token for one in choices for token in one.get("tokens", ())]
    if ids:
        choice["tokens"] = ids
    head = {name: first[name] for name in ("id", "created", "model")}
    facts = {name: last[name] for name in ("usage", "timings") if last.get(name) is not None}
    return {**head, "object": "chat.completion" if chat else first["object"], "choices": [choice], **facts}


def _message(choices: list[dict[str, Any]]) -> dict[str, Any]:
    calls: dict[int, dict[str, Any]] = {}
    text, more = [], dict[str, str]()
    for choice in choices:
        delta = choice["delta"]
        text.append(delta.get("content") or "")
        for name in set(delta) - {"role", "content", "tool_calls", "refusal"}:  # reasoning, which some servers show
            if isinstance(delta[name], str):
                more[name] = more.get(name, "") + delta[name]
        for part in delta.get("tool_calls", ()):
            call = calls.setdefault(part["index"], {"function": {"name": "", "arguments": ""}})
            call.update({name: part[name] for name in ("id", "type") if name in part})
            function = part.get("function", {})
            call["function"]["name"] += function.get("name", "")
            call["function"]["arguments"] += function.get("arguments", "")
    content = "".join(text)
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None, **more}
    if calls:
        message |= {"content": content or None, "tool_calls": [calls[index] for index in sorted(calls)]}
    return {"message": message}


def _logprobs(blocks: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Blocks of lists, each the continuation of the one before, as one."""
    if not blocks:
        return None
    merged: dict[str, Any] = {}
    for block in blocks:
        for name, rows in block.items():
            merged[name] = [*merged.get(name, ()), *rows] if isinstance(rows, list) else rows
    return merged
