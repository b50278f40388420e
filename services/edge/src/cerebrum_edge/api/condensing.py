"""Where a request's prompt becomes shorter, and what the client is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter

from cerebrum_edge.api.resources import Resources
from cerebrum_edge.routing import Route

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Receipt:
    """What condensing did to a prompt; nothing by default. Sizes are characters."""

    before: int = 0
    after: int = 0
    seconds: float = 0.0

    @property
    def facts(self) -> dict[str, Any] | None:
        """For the `done` event."""
        if not self.before:
            return None
        return {"before": self.before, "after": self.after, "ms": round(self.seconds * 1000, 2)}

    @property
    def headers(self) -> dict[str, str]:
        """For the response."""
        if not self.before:
            return {}
        return {"x-cerebrum-condensed": f"{self.before}->{self.after}; ms {self.seconds * 1000:.1f}"}


async def shorten(deps: Resources, prompt: str, *, route: Route, wanted: str) -> tuple[str, Receipt]:
    return prompt, Receipt()


async def shorten_messages(
    deps: Resources, messages: list[dict[str, Any]], *, route: Route, wanted: str
) -> tuple[list[dict[str, Any]], Receipt]:
    return messages, Receipt()
