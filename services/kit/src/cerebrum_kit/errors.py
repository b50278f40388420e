"""The error model: one exception per wire code, and one renderer per dialect.

An error says who has to act (`who`), so that callers can tell a fault of the client from one of ours or of a
machine further up, and so that a breaker counts only the latter two. Messages reach the client: they name the
field or the variable, what was given and what is allowed, and they never carry a secret or an exception's text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

Who = Literal["client", "service", "upstream"]
Renderer = Callable[["CerebrumError", str], dict[str, Any]]


class ConfigurationError(ValueError):
    """What a person configured cannot be used: a setting, a key file, a manifest. The text is for that person."""


class CerebrumError(Exception):
    """Base of every error that a client may see.

    Args:
        message: one sentence for the reader of the response.
        param: the request field or header at fault, where there is one.
        retry_after: seconds until another try makes sense; sent as `Retry-After`, rounded up.
        headers: further response headers (`Allow`, `Connection`).
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    type: ClassVar[str] = "server_error"
    who: ClassVar[Who] = "service"
    # The word for logs and metrics, where it says more than the code on the wire.
    outcome: ClassVar[str | None] = None

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after
        self._headers = dict(headers or {})

    @property
    def counted_as(self) -> str:
        """The outcome of a request that ended with this error."""
        return self.outcome or self.code

    @property
    def headers(self) -> dict[str, str]:
        """Response headers that belong to this error."""
        if self.retry_after is None:
            return self._headers
        return {**self._headers, "retry-after": str(max(1, math.ceil(self.retry_after)))}


class InvalidRequest(CerebrumError):
    status, code, type, who = 400, "invalid_request", "invalid_request_error", "client"


class UnprocessableRequest(InvalidRequest):
    """The JSON is well formed, but a field's value is not allowed."""

    status = 422


class Unauthorized(CerebrumError):
    status, code, type, who = 401, "unauthorized", "authentication_error", "client"


class Forbidden(CerebrumError):
    status, code, type, who = 403, "forbidden", "permission_error", "client"


class NotFound(CerebrumError):
    status, code, type, who = 404, "not_found", "invalid_request_error", "client"


class ModelNotFound(NotFound):
    code = "model_not_found"


class MethodNotAllowed(CerebrumError):
    status, code, type, who = 405, "method_not_allowed", "invalid_request_error", "client"


class RequestTimeout(CerebrumError):
    """The client took too long to send its request."""

    status, code, type, who = 408, "request_timeout", "invalid_request_error", "client"


class ClientTooSlow(CerebrumError):
    """The client does not read its answer."""

    status, code, type, who = 408, "client_too_slow", "invalid_request_error", "client"


class PromptTooLarge(CerebrumError):
    status, code, type, who = 413, "prompt_too_large", "invalid_request_error", "client"


class HeadersTooLarge(CerebrumError):
    status, code, type, who = 431, "headers_too_large", "invalid_request_error", "client"


class Internal(CerebrumError):
    """Something of ours failed; the log has the reason, the client has the request id."""

    def __init__(self, message: str = "An internal error occurred; the log names it by this request id.") -> None:
        super().__init__(message)


class Overloaded(CerebrumError):
    status, code, type = 503, "overloaded", "server_error"


class ShuttingDown(Overloaded):
    """The process ends. For a client that is as if there were no room; whoever runs it wants to know the difference."""

    outcome = "shutting_down"


class DeadlineExceeded(CerebrumError):
    """The time that the request itself allowed is over."""

    status, code, type = 504, "deadline_exceeded", "server_error"


class ModelUnusable(CerebrumError):
    """The manifest has the model, but its file cannot be used; the message says why. Others are served."""

    status, code, type = 503, "model_unusable", "server_error"


class UpstreamUnavailable(CerebrumError):
    status, code, type, who = 503, "upstream_unavailable", "server_error", "upstream"


class UpstreamError(CerebrumError):
    status, code, type, who = 502, "upstream_error", "server_error", "upstream"


class UpstreamTimeout(CerebrumError):
    status, code, type, who = 504, "upstream_timeout", "server_error", "upstream"


_BY_CODE: dict[str, type[CerebrumError]] = {
    cls.code: cls
    for cls in (
        InvalidRequest,
        Unauthorized,
        Forbidden,
        NotFound,
        ModelNotFound,
        MethodNotAllowed,
        RequestTimeout,
        ClientTooSlow,
        PromptTooLarge,
        HeadersTooLarge,
        Overloaded,
        DeadlineExceeded,
        ModelUnusable,
        UpstreamUnavailable,
        UpstreamError,
        UpstreamTimeout,
    )
}

_BY_STATUS: dict[int, type[CerebrumError]] = {
    400: InvalidRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    405: MethodNotAllowed,
    408: RequestTimeout,
    413: PromptTooLarge,
    422: UnprocessableRequest,
    431: HeadersTooLarge,
    503: Overloaded,
}


def error_for_status(status: int, message: str, **details: Any) -> CerebrumError:
    """The error class that stands for an HTTP status; 5xx without a class of its own is `Internal`."""
    cls = _BY_STATUS.get(status)
    if cls is not None:
        return cls(message, **details)
    return InvalidRequest(message, **details) if 400 <= status < 500 else Internal()


def error_for_code(code: str) -> type[CerebrumError] | None:
    """The error class of a wire code, for reading another service's error."""
    return _BY_CODE.get(code)


def errors_by_status() -> dict[int, list[str]]:
    """The wire codes of each status that an error can have."""
    found: dict[int, set[str]] = {}
    classes: tuple[type[CerebrumError], ...] = (*_BY_CODE.values(), *_BY_STATUS.values(), Internal)
    for cls in classes:
        found.setdefault(cls.status, set()).add(cls.code)
    return {status: sorted(codes) for status, codes in sorted(found.items())}


def render_openai(error: CerebrumError, request_id: str) -> dict[str, Any]:
    """OpenAI's shape, which is also Cerebrum's native one."""
    return {
        "error": {
            "message": error.message,
            "type": error.type,
            "code": error.code,
            "param": error.param,
            "request_id": request_id,
        }
    }


_ANTHROPIC_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    503: "overloaded_error",
}


def render_anthropic(error: CerebrumError, request_id: str) -> dict[str, Any]:
    """Anthropic's shape (https://docs.anthropic.com/en/api/errors)."""
    fallback = "invalid_request_error" if error.status < 500 else "api_error"
    return {
        "type": "error",
        "error": {"type": _ANTHROPIC_TYPES.get(error.status, fallback), "message": error.message},
        "request_id": request_id,
    }
