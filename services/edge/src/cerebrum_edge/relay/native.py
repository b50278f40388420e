"""The native dialect of a relayed stream, sans-IO: a backend's events in, a client's events out.

A stream is complete only with its `done` event: one that merely stops was cut, whatever the transport says.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from cerebrum_edge.relay.verdict import error_from_payload
from cerebrum_edge.routing import Route
from cerebrum_kit.errors import CerebrumError, UpstreamError, render_openai
from cerebrum_kit.sse import Event, encode_json

_PASSED_ON = ("total_tokens", "inference_time", "model", "finish_reason", "tokens_per_second")


@dataclass(slots=True)
class NativeRelay:
    """One stream's state.

    Attributes:
        tokens: tokens that the backend has reported so far.
        done: the facts of the last event, once it has come.
    """

    route: Route
    tokens: int = 0
    done: dict[str, Any] | None = None
    _text: list[str] = field(default_factory=list)

    def feed(self, event: Event) -> bytes:
        """The client's event for a backend's event.

        Raises:
            CerebrumError: the backend reported an error, or sent what is no event of ours.
        """
        try:
            payload = json.loads(event.data)
        except ValueError as exc:
            raise UpstreamError("The backend sent an event that is not JSON.") from exc
        if not isinstance(payload, dict):
            raise UpstreamError("The backend sent an event that is not an object.")
        if payload.get("error") is not None:
            raise error_from_payload(payload)
        if payload.get("done"):
            facts = {name: payload.get(name) for name in _PASSED_ON}
            self.done = {**facts, "language": self.route.language, "resumed": 0}
            return encode_json({"done": True, **self.done})
        token = payload.get("token")
        if not isinstance(token, str) or not isinstance(payload.get("total_tokens"), int):
            raise UpstreamError("The backend sent an event without a token.")
        self.tokens = payload["total_tokens"]
        self._text.append(token)
        return encode_json({"token": token, "total_tokens": self.tokens})

    def end(self) -> None:
        """The backend's stream is over. Raises UpstreamError unless it was complete."""
        if self.done is None:
            raise UpstreamError(f"The backend's stream was cut after {self.tokens} tokens.")

    @property
    def text(self) -> str:
        return "".join(self._text)


def error_event(error: CerebrumError, request_id: str) -> bytes:
    """The event that ends a stream that failed."""
    return encode_json({**render_openai(error, request_id), "done": True})
