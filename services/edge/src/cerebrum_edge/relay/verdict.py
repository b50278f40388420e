"""What a backend's error means for the edge's client. Pure."""

from __future__ import annotations

import json
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
    of ours sends, is the operator's matter and no fault of the client; 503 keeps its `Retry-After`.
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
        return UpstreamUnavailable(message, retry_after=_seconds(retry_after))
    if cls is UpstreamError:  # a balancer's word: a host had the request, and is gone
        return UpstreamBroke(message)
    if cls is UpstreamTimeout:
        return UpstreamTimeout(message)
    if status == 503:
        return Overloaded(message, retry_after=_seconds(retry_after))
    if cls in _CLIENTS_OWN and 400 <= status < 500:
        refused = UnprocessableRequest if cls is InvalidRequest and status == 422 else cls  # they share their code
        return refused(message, param=fields.get("param"))
    return UpstreamRefused(message) if 400 <= status < 500 else UpstreamError(message)


def _seconds(text: str | None) -> float:
    return (
        min(float(text), _LONGEST_RETRY) if text is not None and text.isascii() and text.isdigit() else _DEFAULT_RETRY
    )
