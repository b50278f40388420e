"""A server that speaks OpenAI's API and is not ours, as the edge sees it. I/O only; `foreign` and `listing` decide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import aiohttp

from cerebrum_edge.relay.exchange import Exchange
from cerebrum_edge.relay.foreign import ForeignExchange, Traits
from cerebrum_edge.relay.listing import is_llama_server, models_of
from cerebrum_edge.relay.upstream import ERROR_BYTES, Timeouts, Upstream
from cerebrum_edge.relay.verdict import UpstreamRefused, error_of_foreign_answer
from cerebrum_edge.routing import ModelInfo
from cerebrum_edge.settings import Backend
from cerebrum_kit.errors import CerebrumError


class ForeignUpstream(Upstream):
    """One server. The edge's own key, that of the inference services, is not shown to it."""

    foreign = True

    def __init__(
        self,
        backend: Backend,
        session: aiohttp.ClientSession,
        timeouts: Timeouts,
        *,
        answered: Callable[[str | None], None] = lambda _release: None,
    ) -> None:
        super().__init__(backend, session, timeouts, answered=answered)
        # Most of them say nothing while they read a prompt.
        self._silent_at_first = max(self._first_byte, timeouts.idle)
        self._traits = Traits({name: served.name for name, served in backend.models.items()})

    def exchange(self) -> Exchange:
        return ForeignExchange(self._traits, self._without_usage)

    async def models(self) -> tuple[ModelInfo, ...]:
        answer = await self.get("/v1/models")
        found = models_of(answer, self.backend.models)
        self._traits = replace(self._traits, infill=is_llama_server(answer))
        return found

    async def health(self) -> dict[str, Any]:
        """Its `/health`, which may be empty, or where it has none its list of models."""
        try:
            await self.glance("/health")
        except UpstreamRefused:
            models = await self.get("/v1/models")
            return {"status": "ok", "models": len(models.get("data", ()))}
        return {"status": "ok"}

    def _without_usage(self) -> None:
        self._traits = replace(self._traits, usage=False)

    @staticmethod
    async def _error(response: aiohttp.ClientResponse) -> CerebrumError:
        return error_of_foreign_answer(response.status, await response.content.read(ERROR_BYTES), response.headers)

    @staticmethod
    def _shown(key: str) -> dict[str, str]:
        return {"authorization": f"Bearer {key}"}


def upstream_of(
    backend: Backend,
    session: aiohttp.ClientSession,
    timeouts: Timeouts,
    *,
    fallback_key: str | None,
    answered: Callable[[str | None], None],
) -> Upstream:
    """A backend of whichever kind; see `Upstream`."""
    if backend.kind == "openai":
        return ForeignUpstream(backend, session, timeouts, answered=answered)
    return Upstream(backend, session, timeouts, fallback_key=fallback_key, answered=answered)
