"""What every refusal of both services looks like."""

from __future__ import annotations

from typing import Any

import httpx


def refusal(answer: httpx.Response) -> dict[str, Any]:
    """The error of an answer that is a refusal in the shape that all of them have."""
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text[:500])
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"message", "type", "code", "param", "request_id"}
    assert error["request_id"] == answer.headers["x-request-id"]
    assert 0 < len(error["message"]) < 1000
    return error
