"""Request ids: accepted when they are safe tokens, else made; carried in a context variable."""

from __future__ import annotations

import re
import uuid
from contextvars import ContextVar

HEADER = "x-request-id"
_SAFE = re.compile(rb"[A-Za-z0-9._-]{1,128}")

current_request_id: ContextVar[str] = ContextVar("cerebrum_request_id", default="")


def accept_or_make(presented: bytes | None) -> str:
    """The client's id if it is a token of at most 128 of `[A-Za-z0-9._-]`, else a new UUID4."""
    if presented is not None and _SAFE.fullmatch(presented):
        return presented.decode("ascii")
    return str(uuid.uuid4())
