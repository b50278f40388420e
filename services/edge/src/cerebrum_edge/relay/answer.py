"""One answer on its way through the edge, sans-IO: what to ask a backend, and what its frames mean for the client.

An answer may take several attempts, on several backends. What the client has of it is remembered as the backends' own
token ids where they give them, and as text where they do not; the next attempt asks to go on behind that. Frames in the
form that our own service writes are handed on as bytes; everything else is parsed.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any

from cerebrum_edge.relay.verdict import error_from_payload
from cerebrum_kit.errors import CerebrumError, UpstreamError
from cerebrum_kit.sse import Decoder, SSEError

IDS = b',"tokens":['
# Up to so many tokens an answer is asked for at once: less work, and little lost where it must be asked for again.
SHORT_TOKENS = 256


class Answer(ABC):
    """See the module.

    Attributes:
        path: of the backend, where it is asked for.
        done: whether its last event has come.
        error: what the attempt has ended with, behind the events that `feed` gave last.
        attempts: how often a backend has been asked.
        resumed: how often it went on behind something that the client already had.
    """

    path: str

    def __init__(self, body: dict[str, Any]) -> None:
        self._body = body
        self._keep_ids = bool(body.get("return_tokens"))
        self._ids: list[bytes] = []
        self._text: list[str] = []
        self._before = 0
        self._counted = 0
        self.done = False
        self.error: CerebrumError | None = None
        self.attempts = 0
        self.resumed = 0

    @property
    def tokens(self) -> int:
        """How many tokens have come."""
        return self._counted or (sum(ids.count(b",") + 1 for ids in self._ids) if self._ids else len(self._text))

    @property
    def pieces(self) -> int:
        """Grows with whatever comes."""
        return len(self._ids) + len(self._text)

    @property
    def begun(self) -> bool:
        """Whether anything of it has come: a repetition would say it twice."""
        return self.pieces > 0

    @property
    def needs_ids(self) -> bool:
        """Whether it can go on only where token ids say where it is."""
        return bool(self._ids)

    @property
    def can_resume(self) -> bool:
        """Whether a backend can be asked to go on from here."""
        return not self._text or (not self._ids and self._can_resume_text)

    def request(self) -> bytes:
        """The body of the next attempt."""
        self.attempts += 1
        self.error = None
        body = {**self._body, "return_tokens": True}
        self._before = 0
        if self._ids:
            body["resume_tokens"] = json.loads(b"[" + b",".join(self._ids) + b"]")
        elif self._text:
            self._before = len(self._text)
            body.update(self._behind_text("".join(self._text), self._before))
        if self.begun:
            self.resumed += 1
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()

    def feed(self, frames: list[bytes]) -> bytes:
        """The client's events for a backend's frames; empty where there is nothing to say yet.

        Where a frame reports an error, or is no event of the dialect, the events before it are still said, and `error`
        is set.
        """
        events: list[bytes] = []
        try:
            self._take(frames, events)
        except CerebrumError as exc:
            self.error = exc
        return b"".join(events)

    @abstractmethod
    def short(self) -> tuple[str, dict[str, Any]] | None:
        """Path and body that ask for the whole answer at once; None where it may be so long that a stream is better."""

    @abstractmethod
    def take_whole(self, answer: bytes) -> bytes | dict[str, Any]:
        """The client's answer for a backend's whole one."""

    @abstractmethod
    def _take(self, frames: list[bytes], events: list[bytes]) -> None:
        """Appends the client's events. Raises CerebrumError at a frame that ends the attempt."""

    @property
    @abstractmethod
    def _can_resume_text(self) -> bool:
        """Whether a request can be changed so that a backend goes on behind a text."""

    @abstractmethod
    def _behind_text(self, text: str, tokens: int) -> dict[str, Any]:
        """The fields that change so that the answer goes on behind `text`."""


def payloads(frame: bytes) -> list[Any]:
    """What a frame carries, `[DONE]` as it stands; nothing for a comment.

    Raises:
        UpstreamError: it is no server-sent event, or no JSON.
    """
    try:
        events = Decoder().feed(frame + b"\n\n")
        return [event.data if event.data == "[DONE]" else json.loads(event.data) for event in events]
    except SSEError as exc:
        raise UpstreamError(f"The backend's stream is broken: {exc}.") from exc
    except (ValueError, RecursionError) as exc:
        raise UpstreamError("The backend sent an event that is not JSON.") from exc


def checked(payload: Any) -> dict[str, Any]:
    """An event's object. Raises the error that it reports, or UpstreamError where it is none."""
    if not isinstance(payload, dict):
        raise UpstreamError("The backend sent an event that is not an object.")
    if payload.get("error") is not None:
        raise error_from_payload(payload)
    return payload


def listed(ids: Any) -> bytes | None:
    """Token ids as they stand in JSON, without the brackets; None where they are no ids."""
    if not isinstance(ids, list) or not all(type(one) is int for one in ids):
        return None
    return b",".join(b"%d" % one for one in ids)
