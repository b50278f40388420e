"""What a backend's error means for the edge's client. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from cerebrum_kit.errors import (
    CerebrumError,
    ClientTooSlow,
    DeadlineExceeded,
    InvalidRequest,
    ModelNotFound,
    ModelUnusable,
    Overloaded,
    PromptTooLarge,
    UnprocessableRequest,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnavailable,
    error_for_code,
)

# What a backend of ours says of the request itself. Any other 4xx is between the edge and whatever answered it.
_CLIENTS_OWN = (InvalidRequest, ModelNotFound, PromptTooLarge)
_DEFAULT_RETRY = 5.0
_LONGEST_RETRY = 600.0
# Other servers' words. For a prompt beyond the context OpenAI's API has no status of its own, only 400.
_TOO_LONG = re.compile(r"context[ _](length|size|window)|too (long|large) for|exceeds? .{0,40}context", re.IGNORECASE)
_STATUS_OF_TYPE = {
    "authentication_error": 401, "invalid_request_error": 400, "badrequesterror": 400, "exceed_context_size_error": 400,
    "not_found_error": 404, "notfounderror": 404, "overloaded_error": 503, "rate_limit_error": 429,
    "unavailable_error": 503,
}  # fmt: skip
_MOST_WORDS = 1000


class UpstreamRefused(UpstreamError):
    """The backend works, and will not serve this edge: a wrong key, an address, a foreign 4xx."""


class UpstreamBroke(UpstreamError):
    """The connection to the backend broke after the request had been sent."""


def is_final(error: CerebrumError) -> bool:
    """Whether another attempt would end in the same way."""
    return error.who == "client" or isinstance(error, DeadlineExceeded | ModelUnusable | UpstreamRefused)


def was_taken(error: CerebrumError) -> bool:
    """Whether a backend had the request, though it had not begun to answer."""
    return isinstance(error, UpstreamBroke | UpstreamTimeout)


def is_failure(error: CerebrumError, *, balanced: bool = False) -> bool:
    """Whether the error speaks against the backend. One that has no room, or refuses the request, works.

    Args:
        balanced: the backend is a balancer. What breaks behind it is a host's fault, and the next request gets another
            one; only when there is none left, or the balancer is gone, is it the backend's.
    """
    if balanced and not isinstance(error, UpstreamUnavailable):
        return False
    return error.who == "upstream" and not is_final(error)


def error_from_answer(status: int, body: bytes, headers: Mapping[str, str]) -> CerebrumError:
    """The error that stands for a backend's answer other than 200.

    What is wrong with the request itself is passed on with the backend's words; a refused key, or a 4xx that no backend
    of ours sends, is the operator's matter and no fault of the client; 503 keeps its `Retry-After`. Without one it asks
    for no pause: an instance that ends says so, and another one answers at its address.
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
        return UpstreamRefused("The backend refused the edge's key or address.")
    if cls in (DeadlineExceeded, ModelUnusable, ClientTooSlow):
        return cls(message)
    if cls is UpstreamUnavailable:
        pause = _pause(retry_after)
        return UpstreamUnavailable(message, retry_after=_DEFAULT_RETRY if pause is None else pause)
    if cls is UpstreamError:  # a balancer's word: a host had the request, and is gone
        return UpstreamBroke(message)
    if cls is UpstreamTimeout:
        return UpstreamTimeout(message)
    if status == 503:
        return Overloaded(message, retry_after=_pause(retry_after))
    if cls in _CLIENTS_OWN and 400 <= status < 500:
        refused = UnprocessableRequest if cls is InvalidRequest and status == 422 else cls  # they share their code
        return refused(message, param=fields.get("param"))
    return UpstreamRefused(message) if 400 <= status < 500 else UpstreamError(message)


def error_of_foreign_answer(status: int, body: bytes, headers: Mapping[str, str]) -> CerebrumError:
    """The error that stands for the answer, other than 200, of a server that is not ours."""
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        payload = {}
    # Few of them say for how long.
    return error_of_foreign_payload(payload, status=status, retry_after=headers.get("retry-after", ""))


def error_of_foreign_payload(
    payload: Any, *, status: int | None = None, retry_after: str | None = None
) -> CerebrumError:
    """The error that stands for another server's error object, inside a stream (no status) or with a status.

    429 and 503 say that there is no room, so the server is set aside for as long as it asks, unless a stream had begun;
    others of 4xx are about the request.
    """
    fields = _foreign_fields(payload)
    code, kind = str(fields.get("code", "")), str(fields.get("type", ""))
    status = status or (int(code) if re.fullmatch(r"[45]\d\d", code) else _STATUS_OF_TYPE.get(kind.lower(), 502))
    message = str(fields.get("message") or f"The backend answered {status}.")[:_MOST_WORDS]
    param = fields.get("param") if isinstance(fields.get("param"), str) else None
    if status in (401, 403):
        return UpstreamRefused("The backend refused the edge's key or address.")
    if status in (429, 503):
        return Overloaded(message, retry_after=_pause(retry_after))
    if status in (408, 504):
        return UpstreamTimeout(message)
    if status == 413 or (status in (400, 422) and _TOO_LONG.search(f"{code} {kind} {message}")):
        return PromptTooLarge(message, param=param)
    if status == 404 and "model" in message.lower():
        return ModelNotFound(message, param="model")
    if status in (400, 422):
        return (UnprocessableRequest if status == 422 else InvalidRequest)(message, param=param)
    return UpstreamRefused(message) if 400 <= status < 500 else UpstreamError(message)


def _foreign_fields(payload: Any) -> dict[str, Any]:
    """OpenAI's error object, or what servers have in its place: its fields alone, a text, FastAPI's `detail`."""
    if not isinstance(payload, dict):
        return {}
    error = payload.get("error")
    if isinstance(error, dict):
        return error
    message = error or payload.get("message") or payload.get("detail")
    return {**payload, "message": message if isinstance(message, str) else json.dumps(message) if message else None}


def _pause(text: str | None) -> float | None:
    """The seconds of a `Retry-After`; None where there is none."""
    if text is None:
        return None
    return min(float(text), _LONGEST_RETRY) if text.isascii() and text.isdigit() else _DEFAULT_RETRY
