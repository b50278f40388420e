"""What a backend's error means for the edge's client. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cerebrum_kit.errors import (
    CerebrumError,
    Overloaded,
    UpstreamError,
    error_for_code,
    error_for_status,
)

_DEFAULT_RETRY = 5.0
_LONGEST_RETRY = 600.0


def error_from_answer(status: int, body: bytes, headers: Mapping[str, str]) -> CerebrumError:
    """The error that stands for a backend's answer other than 200.

    The client's own faults (400, 404, 413, 422) are passed on with the backend's words; a refused key is the
    operator's matter and no fault of the client; 503 keeps its `Retry-After`.
    """
    try:
        payload = json.loads(body)
    except ValueError:
        payload = {}
    return error_from_payload(payload, status=status, retry_after=headers.get("retry-after"))


def error_from_payload(payload: Any, *, status: int | None = None, retry_after: str | None = None) -> CerebrumError:
    """The error that stands for a backend's error object, inside a stream (no status) or with a status."""
    error = payload.get("error") if isinstance(payload, dict) else None
    fields = error if isinstance(error, dict) else {}
    cls = error_for_code(str(fields.get("code", "")))
    status = cls.status if status is None and cls is not None else status or 502
    message = str(fields.get("message") or f"The backend answered {status}.")
    if status in (401, 403):
        return UpstreamError("The backend refused the edge's key or address.")
    if status == 503:
        return Overloaded(message, retry_after=_seconds(retry_after))
    if 400 <= status < 500:
        return (
            error_for_status(status, message, param=fields.get("param"))
            if cls is None
            else cls(message, param=fields.get("param"))
        )
    return UpstreamError(message)


def _seconds(text: str | None) -> float:
    return (
        min(float(text), _LONGEST_RETRY) if text is not None and text.isascii() and text.isdigit() else _DEFAULT_RETRY
    )
