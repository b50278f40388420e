"""What a request for a completion comes down to in the metrics. Pure."""

from __future__ import annotations

DIALECTS = {
    "/v1/complete": "native",
    "/v1/complete/stream": "native",
    "/v1/chat/completions": "chat",
    "/chat/completions": "chat",
    "/v1/completions": "completions",
    "/completions": "completions",
    "/infill": "infill",
    "/v1/infill": "infill",
}
"""The routes that answer with a completion, by template."""

OUTCOMES = (
    "ok",
    "disconnected",
    "caller_error",
    "overloaded",
    "upstream_unavailable",
    "upstream_error",
    "upstream_timeout",
    "internal",
    "client_too_slow",
    "shutting_down",
)
# A backend's own words for what is no fault of the caller's.
_SAME_AS = {"deadline_exceeded": "upstream_timeout", "model_unusable": "upstream_error"}


def outcome_of(word: str, status: int) -> str:
    """One of OUTCOMES for the word that a request ended with.

    Args:
        word: as `cerebrum_kit.middleware.boundary.Answered` has it.
        status: of the response; 0 where none began. An error inside of a stream has 200.
    """
    word = _SAME_AS.get(word, word)
    if word in OUTCOMES:
        return word
    # What is left are errors of the request itself: each has a status of 4xx, unless it came when a stream had begun.
    return "internal" if status >= 500 else "caller_error"
