"""OpenAI's dialects, streamed: chunks as they come, `[DONE]` at the end, and neither after an error."""

from __future__ import annotations

import json
import math
from abc import abstractmethod
from typing import Any

from cerebrum_edge.relay.answer import IDS, SHORT_TOKENS, Answer, checked, listed, payloads
from cerebrum_kit.errors import CerebrumError, UpstreamError, render_openai
from cerebrum_kit.sse import DONE, encode_json

_CHUNK = b'data: {"id":'
_UNDER_WAY = b'"finish_reason":null'


class OpenAIAnswer(Answer):
    """A stream of chunks. Chunks of a later attempt get the first one's id, so that they stay one answer."""

    # Of an answer whose request does not say how long it may be.
    _usual_tokens: float = math.inf

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__(body)
        self._head: dict[str, Any] = {}
        self._finished = False
        self._opened = False

    def _take(self, frames: list[bytes], events: list[bytes]) -> None:
        for frame in frames:
            at = frame.find(IDS) if frame.startswith(_CHUNK) and self._head and self.attempts == 1 else -1
            end = frame.find(b"]", at) if at > 0 else -1
            if end > 0 and _UNDER_WAY in frame:
                ids = frame[at + len(IDS) : end]
                if ids:
                    self._ids.append(ids)
                events.append((frame if self._keep_ids else frame[:at] + frame[end + 1 :]) + b"\n\n")
            else:
                events += [self._event(payload) for payload in payloads(frame)]

    def short(self) -> tuple[str, dict[str, Any]] | None:
        most = self._body.get("max_completion_tokens") or self._body.get("max_tokens", self._usual_tokens)
        if most > SHORT_TOKENS:
            return None
        return self.path, {
            name: value for name, value in self._body.items() if name not in ("stream", "stream_options")
        }

    def take_whole(self, answer: bytes) -> bytes:
        usage = checked(json.loads(answer)).get("usage")
        tokens = usage.get("completion_tokens") if isinstance(usage, dict) else None
        self._counted = tokens if type(tokens) is int else 0
        return answer

    def _event(self, payload: Any) -> bytes:
        if payload == "[DONE]":
            if not self._finished:
                raise UpstreamError("The backend's stream ended without a reason.")
            self.done = True
            return DONE
        chunk = checked(payload)
        choices = chunk.get("choices")
        if not isinstance(choices, list) or not all(isinstance(one, dict) for one in choices):
            raise UpstreamError("The backend sent an event without choices.")
        if not self._head:
            self._head = {name: chunk[name] for name in ("id", "created") if name in chunk}
        kept = [choice for choice in choices if self._new(choice)]
        if choices and not kept:
            return b""
        if self._before and isinstance(chunk.get("usage"), dict):
            chunk = {**chunk, "usage": _behind(chunk["usage"], self._before)}
        return encode_json({**chunk, **self._head, "choices": kept})

    def _new(self, choice: dict[str, Any]) -> bool:
        """Takes a choice in; False where an earlier attempt has said it, or nothing of it is for the client."""
        ids = listed(choice.get("tokens"))
        if not self._keep_ids:
            choice.pop("tokens", None)
        text = self._text_of(choice)
        if ids:
            self._ids.append(ids)
        elif text and ids is None:
            self._text.append(text)
        opening = not text and not ids and choice.get("finish_reason") is None
        if opening:
            said, self._opened = self._opened, True
            return not said or bool(set(choice.get("delta", ())) - {"role", "content"})
        said = self._finished
        self._finished = said or choice.get("finish_reason") is not None
        return not (said and choice.get("finish_reason") is not None)

    @abstractmethod
    def _text_of(self, choice: dict[str, Any]) -> str:
        """What a choice adds to the answer; empty where it adds nothing."""


class CompletionAnswer(OpenAIAnswer):
    """`/v1/completions`"""

    path = "/v1/completions"
    _usual_tokens = 256

    def _text_of(self, choice: dict[str, Any]) -> str:
        return str(choice.get("text") or "")

    @property
    def _can_resume_text(self) -> bool:
        return isinstance(self._body["prompt"], str) and not self._body.get("suffix") and not self._body.get("echo")

    def _behind_text(self, text: str, tokens: int) -> dict[str, Any]:
        return {"prompt": self._body["prompt"] + text, "max_tokens": max(1, self._body.get("max_tokens", 256) - tokens)}


class ChatAnswer(OpenAIAnswer):
    """`/v1/chat/completions`"""

    path = "/v1/chat/completions"

    def _text_of(self, choice: dict[str, Any]) -> str:
        # Be it a text, tool calls or the reasoning that some servers show: nobody can be asked to go on behind it.
        delta = choice.get("delta") or {}
        return str(delta.get("content") or next((one for name, one in delta.items() if one and name != "role"), ""))

    @property
    def _can_resume_text(self) -> bool:
        return False

    def _behind_text(self, text: str, tokens: int) -> dict[str, Any]:
        raise AssertionError("a template cannot be asked to go on in the middle of a message")


def _behind(usage: dict[str, Any], tokens: int) -> dict[str, Any]:
    """What an answer cost whose first `tokens` were part of the prompt of the attempt that tells it."""
    moved = {"prompt_tokens": -tokens, "completion_tokens": tokens}
    return {name: max(0, value + moved.get(name, 0)) if type(value) is int else value for name, value in usage.items()}


def error_event(error: CerebrumError, request_id: str) -> bytes:
    """The event that ends a stream that failed; without `[DONE]` behind it, OpenAI's client reports it."""
    return encode_json(render_openai(error, request_id))
