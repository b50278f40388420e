"""The native dialect: tokens as they come, then one `done` event with what it cost, or with an error."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from cerebrum_edge.relay.answer import IDS, SHORT_TOKENS, Answer, checked, listed, payloads
from cerebrum_kit.errors import CerebrumError, UpstreamError, render_openai
from cerebrum_kit.sse import encode_json

_TOKEN = b'data: {"token":'
_PASSED_ON = ("total_tokens", "inference_time", "model", "finish_reason", "tokens_per_second")


class NativeAnswer(Answer):
    """See the module.

    Attributes:
        prompt_tokens: as the backend counted them, once it is done; 0 where it does not say.

    Args:
        receipt: what the edge adds to the `done` event.
        elapsed: seconds since the request came.
    """

    path = "/v1/inference/stream"

    def __init__(self, body: dict[str, Any], *, receipt: Mapping[str, Any], elapsed: Callable[[], float]) -> None:
        super().__init__(body)
        self.prompt_tokens = 0
        self._receipt = receipt
        self._elapsed = elapsed

    def _take(self, frames: list[bytes], events: list[bytes]) -> None:
        for frame in frames:
            at = frame.find(IDS) if frame.startswith(_TOKEN) else -1
            if at > 0 and frame.endswith(b"]}") and not self._before:
                ids = frame[at + len(IDS) : -2]
                if ids:
                    self._ids.append(ids)
                events.append(frame[:at] + b"}\n\n" if not self._keep_ids else frame + b"\n\n")
            else:
                events += [self._event(checked(payload)) for payload in payloads(frame)]

    def short(self) -> tuple[str, dict[str, Any]] | None:
        return ("/v1/inference", self._body) if self._body["max_tokens"] <= SHORT_TOKENS else None

    def take_whole(self, answer: bytes) -> dict[str, Any]:
        payload = checked(json.loads(answer))
        if not isinstance(payload.get("text"), str):
            raise UpstreamError("The backend sent an answer without a text.")
        self.prompt_tokens = _prompt_tokens(payload)
        total = payload.get("total_tokens")
        self._counted = total if type(total) is int else 0
        text: dict[str, Any] = {name: payload[name] for name in ("text", "tokens") if name in payload}
        return {**text, **self._facts(payload)}

    def _event(self, payload: dict[str, Any]) -> bytes:
        if payload.get("done"):
            self.done = True
            # Behind a text, what had come is part of the prompt that was counted.
            self.prompt_tokens = 0 if self._before else _prompt_tokens(payload)
            return encode_json({"done": True, **self._facts(payload)})
        token, total = payload.get("token"), payload.get("total_tokens")
        if not isinstance(token, str) or not isinstance(total, int):
            raise UpstreamError("The backend sent an event without a token.")
        ids = listed(payload.get("tokens"))
        if ids is None:
            self._text.append(token)
        elif ids:
            self._ids.append(ids)
        shown = {"token": token, "total_tokens": total + self._before}
        return encode_json({**shown, "tokens": payload["tokens"]} if self._keep_ids and ids is not None else shown)

    def _facts(self, payload: dict[str, Any]) -> dict[str, Any]:
        facts = {name: payload.get(name) for name in _PASSED_ON}
        if self._before and isinstance(facts["total_tokens"], int):
            facts["total_tokens"] += self._before
        if self.resumed or facts["inference_time"] is None:
            facts["inference_time"] = round(self._elapsed(), 4)
        if facts["tokens_per_second"] is None and facts["total_tokens"]:
            facts["tokens_per_second"] = round(facts["total_tokens"] / max(self._elapsed(), 1e-4), 2)
        return {**facts, **self._receipt, "resumed": self.resumed}

    @property
    def _can_resume_text(self) -> bool:
        return isinstance(self._body["prompt"], str)

    def _behind_text(self, text: str, tokens: int) -> dict[str, Any]:
        return {"prompt": self._body["prompt"] + text, "max_tokens": max(1, self._body["max_tokens"] - tokens)}


def _prompt_tokens(payload: dict[str, Any]) -> int:
    timings = payload.get("timings")
    tokens = timings.get("prompt_tokens") if isinstance(timings, dict) else None
    return tokens if type(tokens) is int else 0


def whole(events: bytes) -> dict[str, Any]:
    """The answer that a stream of client's events says, as one object."""
    parsed = [json.loads(event.removeprefix(b"data: ")) for event in events.split(b"\n\n") if event]
    ids = [token for event in parsed for token in event.get("tokens", ())]
    answer = {name: value for name, value in parsed[-1].items() if name != "done"}
    text = "".join(event.get("token", "") for event in parsed)
    return {"text": text, **({"tokens": ids} if ids else {}), **answer}


def error_event(error: CerebrumError, request_id: str) -> bytes:
    """The event that ends a stream that failed."""
    return encode_json({**render_openai(error, request_id), "done": True})
