"""How an answer looks in OpenAI's dialects, whole and in chunks."""

from __future__ import annotations

import uuid
from typing import Any, Protocol

from cerebrum_inference.engine import Finish, Piece, TokenLogprob
from cerebrum_inference.grammar import CallArguments, CallStart, TextDelta, ToolCallParser


class Shape(Protocol):
    """Takes the pieces of one answer and gives `choice` fields: of chunks as they come, of the whole at the end."""

    prefix: str
    whole_object: str
    chunk_object: str

    def opening(self) -> list[dict[str, Any]]:
        """Chunks before the first piece."""

    def feed(self, piece: Piece) -> list[dict[str, Any]]:
        """Chunks that a piece makes."""

    def resume(self, piece: Piece) -> None:
        """Takes in what the client has from elsewhere, before the first piece."""

    def finish(self, finish: Finish) -> tuple[list[dict[str, Any]], dict[str, Any], str]:
        """The last chunks with content, the fields of the one that carries the reason, and the reason."""

    def whole(self) -> dict[str, Any]:
        """The whole answer, after `finish`."""


class CompletionShape:
    """`/v1/completions`.

    Args:
        echo: text of the prompt, where it is part of the answer.
    """

    prefix, whole_object, chunk_object = "cmpl-", "text_completion", "text_completion"

    def __init__(self, *, echo: str = "", logprobs: bool = False, tokens: bool = False) -> None:
        self._echo = echo
        self._text: list[str] = [echo] if echo else []
        self._logprobs: list[TokenLogprob] | None = [] if logprobs else None
        self._tokens: list[int] | None = [] if tokens else None
        self._offset = 0

    def opening(self) -> list[dict[str, Any]]:
        return [{"text": self._echo, "logprobs": None}] if self._echo else []

    def feed(self, piece: Piece) -> list[dict[str, Any]]:
        self._text.append(piece.text)
        choice: dict[str, Any] = {"text": piece.text, "logprobs": None}
        if self._logprobs is not None:
            self._logprobs += piece.logprobs
            choice["logprobs"] = self._block(piece.logprobs)
        if self._tokens is not None:
            self._tokens += piece.tokens
            choice["tokens"] = piece.tokens
        return [choice]

    def resume(self, piece: Piece) -> None:
        self._offset = len(self._echo) + len(piece.text)
        self.feed(piece)

    def finish(self, finish: Finish) -> tuple[list[dict[str, Any]], dict[str, Any], str]:
        return [], {"text": "", "logprobs": None}, finish.reason

    def whole(self) -> dict[str, Any]:
        choice: dict[str, Any] = {"text": "".join(self._text), "logprobs": None}
        if self._logprobs is not None:
            self._offset = 0
            choice["logprobs"] = self._block(self._logprobs)
        if self._tokens is not None:
            choice["tokens"] = self._tokens
        return choice

    def _block(self, rows: list[TokenLogprob] | tuple[TokenLogprob, ...]) -> dict[str, Any]:
        offsets = []
        for row in rows:
            offsets.append(self._offset)
            self._offset += len(_text(row.data))
        return {
            "tokens": [_text(row.data) for row in rows],
            "token_logprobs": [row.logprob for row in rows],
            "top_logprobs": [_by_text(row) for row in rows],
            "text_offset": offsets,
        }


class ChatShape:
    """`/v1/chat/completions`.

    Args:
        parser: finds the calls of functions in the text, where there may be some.
    """

    prefix, whole_object, chunk_object = "chatcmpl-", "chat.completion", "chat.completion.chunk"

    def __init__(self, *, parser: ToolCallParser | None = None, logprobs: bool = False, tokens: bool = False) -> None:
        self._parser = parser
        self._text: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._logprobs: list[dict[str, Any]] | None = [] if logprobs else None
        self._tokens: list[int] | None = [] if tokens else None

    def opening(self) -> list[dict[str, Any]]:
        return [{"delta": {"role": "assistant", "content": ""}, "logprobs": None}]

    def feed(self, piece: Piece) -> list[dict[str, Any]]:
        parts = self._parser.feed(piece.text) if self._parser is not None else [TextDelta(piece.text)]
        deltas = [delta for part in parts if (delta := self._delta(part))]
        chunks: list[dict[str, Any]] = [{"delta": delta, "logprobs": None} for delta in deltas]
        if (self._logprobs is not None and piece.logprobs) or self._tokens is not None:
            chunks = chunks or [{"delta": {}, "logprobs": None}]
        if self._logprobs is not None and piece.logprobs:
            rows = [_chat_logprob(row) for row in piece.logprobs]
            self._logprobs += rows
            chunks[0]["logprobs"] = {"content": rows, "refusal": None}
        if self._tokens is not None:
            self._tokens += piece.tokens
            chunks[0]["tokens"] = piece.tokens
        return chunks

    def resume(self, piece: Piece) -> None:
        self.feed(piece)

    def finish(self, finish: Finish) -> tuple[list[dict[str, Any]], dict[str, Any], str]:
        parts = self._parser.finish() if self._parser is not None else []
        deltas = [delta for part in parts if (delta := self._delta(part))]
        reason = "tool_calls" if self._calls and finish.reason == "stop" else finish.reason
        return [{"delta": delta, "logprobs": None} for delta in deltas], {"delta": {}, "logprobs": None}, reason

    def whole(self) -> dict[str, Any]:
        text = "".join(self._text)
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        if self._calls:
            message = {**message, "content": text or None, "tool_calls": self._calls}
        logprobs = None if self._logprobs is None else {"content": self._logprobs, "refusal": None}
        choice = {"message": message, "logprobs": logprobs}
        return choice if self._tokens is None else {**choice, "tokens": self._tokens}

    def _delta(self, part: TextDelta | CallStart | CallArguments) -> dict[str, Any]:
        if isinstance(part, TextDelta):
            self._text.append(part.text)
            return {"content": part.text} if part.text else {}
        if isinstance(part, CallStart):
            function = {"name": part.name, "arguments": ""}
            call: dict[str, Any] = {"id": f"call_{uuid.uuid4().hex[:24]}", "type": "function"}
            self._calls.append({**call, "function": function})
            return {"tool_calls": [{"index": len(self._calls) - 1, **call, "function": dict(function)}]}
        self._calls[-1]["function"]["arguments"] += part.fragment
        return {"tool_calls": [{"index": len(self._calls) - 1, "function": {"arguments": part.fragment}}]}


def _chat_logprob(row: TokenLogprob) -> dict[str, Any]:
    return {
        **_one_logprob(row.data, row.logprob or 0.0),
        "top_logprobs": [_one_logprob(data, value) for _, data, value in row.top],
    }


def _by_text(row: TokenLogprob) -> dict[str, float] | None:
    return None if row.logprob is None else {_text(data): value for _, data, value in row.top}


def _one_logprob(data: bytes, value: float) -> dict[str, Any]:
    return {"token": _text(data), "logprob": value, "bytes": list(data)}


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
