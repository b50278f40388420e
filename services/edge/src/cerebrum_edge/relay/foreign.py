"""One attempt on a server that speaks OpenAI's API and is not ours, sans-IO.

    what the edge's client asked          what the server is asked, always streamed
    native                                /v1/completions
    /v1/completions                       /v1/completions; llama-server, which ignores suffixes: /infill
    /v1/chat/completions                  /v1/chat/completions
    /infill                               /v1/completions with a suffix; llama-server: /infill

What it answers is written anew as a service of ours would have said it, without token ids: an answer that is cut is
then taken up by its text where its dialect can be (`answer`), and ends with an error where it cannot.

    of the stream                         means
    a comment, an empty chunk             nothing
    a choice beside the first one         nothing
    a finish reason                       the answer is complete, whatever becomes of the connection
    the end, or [DONE], without one       it was cut
    an error object                       see `verdict`
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cerebrum_edge.relay.answer import payloads
from cerebrum_edge.relay.exchange import Exchange
from cerebrum_edge.relay.verdict import error_of_foreign_payload
from cerebrum_kit.errors import CerebrumError, InvalidRequest, UpstreamError

NATIVE, COMPLETIONS, CHAT, INFILL = "/v1/inference/stream", "/v1/completions", "/v1/chat/completions", "/infill"
_MOST_TOKENS = 256  # of a completion that does not say it: servers' own defaults are 16, or no end
_NATIVE_DEFAULTS = {"temperature": 0.2, "top_p": 0.95}  # what the edge's own API promises
# What only services of ours know.
_OURS = ("return_tokens", "resume_tokens", "keep_alive", "timeout_seconds", "max_completion_tokens", "stream_options")
_REASONS = {"eos": "stop", "eos_token": "stop", "stop_sequence": "stop", "end_turn": "stop", "max_tokens": "length"}
_CUT = frozenset({"abort", "aborted", "error", "cancelled"})


@dataclass(frozen=True, slots=True)
class Traits:
    """What is known of a server.

    Attributes:
        names: what it calls the models that the edge's clients know by other names.
        infill: it is llama.cpp's server, and fills in the middle at a path of its own.
        usage: it was not seen to refuse `stream_options`.
    """

    names: Mapping[str, str]
    infill: bool = False
    usage: bool = True


class ForeignExchange(Exchange):
    """See the module.

    Args:
        no_usage: called when the server turns out to refuse `stream_options`.
    """

    def __init__(self, traits: Traits, no_usage: Callable[[], None] = lambda: None) -> None:
        self._traits = traits
        self._no_usage = no_usage
        self._path = ""
        self._model = ""
        self._wants_usage = False
        self._pieces = 0
        self._text: list[str] = []
        self._head: dict[str, Any] = {}
        self._usage: dict[str, Any] | None = None
        self._reason: str | None = None
        self._ended = False

    def request(self, path: str, body: bytes) -> tuple[str, bytes]:
        asked = json.loads(body)
        self._path, self._model = path, asked["model"]
        self._wants_usage = bool((asked.get("stream_options") or {}).get("include_usage"))
        if path == INFILL or (path == COMPLETIONS and asked.get("suffix") and self._traits.infill):
            path, sent = self._fill(asked)
        else:
            path = COMPLETIONS if path == NATIVE else path
            sent = {name: value for name, value in asked.items() if name not in _OURS}
            if self._path == NATIVE:
                sent = {**_NATIVE_DEFAULTS, **sent}
            if path == COMPLETIONS:
                sent.setdefault("max_tokens", _MOST_TOKENS)
            elif asked.get("max_completion_tokens"):  # the older name is known to more servers
                sent["max_tokens"] = asked["max_completion_tokens"]
        if "repeat_penalty" in sent:
            sent["repetition_penalty"] = sent["repeat_penalty"]  # vLLM's name of it
        sent |= {"model": self._traits.names.get(self._model, self._model), "stream": True}
        if self._traits.usage and path != INFILL:
            sent["stream_options"] = {"include_usage": True}
        return path, json.dumps(sent, ensure_ascii=False, separators=(",", ":")).encode()

    def _fill(self, asked: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """A request for the middle, whichever way it came, in the way in which the server takes it."""
        sides = ("prompt", "suffix", "input_prefix", "input_suffix", "max_tokens", "n_predict", *_OURS)
        rest = {name: value for name, value in asked.items() if name not in sides}
        most = asked.get("n_predict", asked.get("max_tokens", _MOST_TOKENS))
        if self._path == COMPLETIONS:
            prefix, middle, suffix = asked["prompt"], "", asked["suffix"]
        else:
            prefix, middle, suffix = asked["input_prefix"], asked.get("prompt", ""), asked["input_suffix"]
        if self._traits.infill:
            sides_sent = {"input_prefix": prefix, "prompt": middle, "input_suffix": suffix, "n_predict": most}
            return INFILL, {**rest, **sides_sent}
        return COMPLETIONS, {**rest, "prompt": prefix + middle, "suffix": suffix, "max_tokens": most}

    def frames(self, frames: list[bytes]) -> list[bytes]:
        said: list[bytes] = []
        try:
            for frame in frames:
                for payload in payloads(frame):
                    said += self._said(payload)
        except CerebrumError as exc:
            self.error = None if self._ended else exc
        return said

    def end(self) -> list[bytes]:
        if self._ended or self._reason is None:
            return []
        self._ended = True
        return self._closing()

    def amended(self, error: CerebrumError) -> bool:
        refused = isinstance(error, InvalidRequest) and "stream_options" in f"{error.message} {error.param}"
        if not refused or not self._traits.usage or self._pieces:
            return False
        self._no_usage()
        return True

    def _said(self, payload: Any) -> list[bytes]:
        if payload == "[DONE]":
            if self._reason is None:
                raise UpstreamError("The backend's stream ended without a reason.")
            return self.end()
        if not isinstance(payload, dict):
            raise UpstreamError("The backend sent an event that is not an object.")
        if payload.get("error") is not None or payload.get("object") == "error":
            raise error_of_foreign_payload(payload)
        if isinstance(payload.get("usage"), dict):
            self._usage = payload["usage"]
        choice = _first_choice(payload)
        if choice is None or self._reason is not None:
            return []
        if not self._head:
            self._head = self._names_of(payload)
        return self._chunk(choice)

    def _chunk(self, choice: dict[str, Any]) -> list[bytes]:
        reason = _reason(choice.get("finish_reason"))
        if self._path == CHAT:
            said = _delta(choice.get("delta"))
            told = any(said.values())
        else:
            said = {"text": text} if isinstance(text := choice.get("text"), str) else {"text": ""}
            told = bool(said["text"])
        self._pieces += bool(told)
        self._reason = reason
        if self._path == INFILL:
            self._text.append(said["text"])
            return []
        if self._path == NATIVE:
            return [_frame({"token": said["text"], "total_tokens": self._pieces})] if told else []
        if not told and reason is None:
            return []
        logprobs = {"logprobs": choice["logprobs"]} if choice.get("logprobs") else {}
        content = {"delta": said} if self._path == CHAT else said
        return [_frame({**self._head, "choices": [{"index": 0, **content, **logprobs, "finish_reason": reason}]})]

    def _closing(self) -> list[bytes]:
        usage = self._usage or {}
        prompt, total = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
        if self._path == NATIVE:
            done = {"done": True, "total_tokens": total or self._pieces, "model": self._model}
            timings = {"timings": {"prompt_tokens": prompt}} if prompt else {}
            return [_frame({**done, "finish_reason": self._reason, **timings})]
        if self._path == INFILL:
            said = {"content": "".join(self._text), "model": self._model, "stop": True}
            counts = {"tokens_predicted": total or self._pieces, "tokens_evaluated": prompt or 0}
            return [json.dumps({**said, **counts, "truncated": False}, ensure_ascii=False).encode()]
        told = [_frame({**self._head, "choices": [], "usage": usage})] if self._wants_usage and usage else []
        return [*told, b"data: [DONE]"]

    def _names_of(self, payload: dict[str, Any]) -> dict[str, Any]:
        chat, ident, created = self._path == CHAT, payload.get("id"), payload.get("created")
        return {
            "id": ident if isinstance(ident, str) and ident else f"{'chatcmpl' if chat else 'cmpl'}-{uuid.uuid4().hex}",
            "object": "chat.completion.chunk" if chat else "text_completion",
            "created": created if type(created) is int else 0,
            "model": self._model,
        }


def _first_choice(payload: dict[str, Any]) -> dict[str, Any] | None:
    """The one choice that was asked for; None where the chunk has nothing of it.

    Raises:
        UpstreamError: it is no chunk.
    """
    if "choices" not in payload and isinstance(payload.get("content"), str):  # llama-server's /infill
        reason = ("length" if payload.get("stop_type") == "limit" else "stop") if payload.get("stop") else None
        return {"text": payload["content"], "finish_reason": reason}
    choices = payload.get("choices")
    if choices is None and "usage" in payload:
        return None
    if not isinstance(choices, list) or not all(isinstance(one, dict) for one in choices):
        raise UpstreamError("The backend sent an event without choices.")
    return next((one for one in choices if one.get("index") in (0, None)), None)


def _reason(told: Any) -> str | None:
    """OpenAI's word for why an answer ended. Raises UpstreamError where the server gave it up."""
    if not isinstance(told, str) or not told:
        return None
    if told in _CUT:
        raise UpstreamError(f"The backend gave the answer up ({told}).")
    return _REASONS.get(told, told)


def _delta(delta: Any) -> dict[str, Any]:
    """A chat's delta without what is null, each tool call with its index: clients insist on that."""
    if not isinstance(delta, dict):
        return {}
    said = {name: value for name, value in delta.items() if value is not None}
    calls = said.pop("tool_calls", None)
    if isinstance(calls, list):
        kept = [_call(call, at) for at, call in enumerate(calls) if isinstance(call, dict)]
        said |= {"tool_calls": kept} if kept else {}
    return said


def _call(call: dict[str, Any], at: int) -> dict[str, Any]:
    said = {name: value for name, value in call.items() if value is not None}
    if isinstance(said.get("function"), dict):
        said["function"] = {name: value for name, value in said["function"].items() if value is not None}
    return said if type(said.get("index")) is int else {**said, "index": at}


def _count(tokens: Any) -> int | None:
    return tokens if type(tokens) is int and tokens >= 0 else None


def _frame(payload: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
