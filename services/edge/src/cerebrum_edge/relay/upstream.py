"""A backend as the edge sees it: HTTP in, events and typed errors out. I/O only; nothing is decided here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx

from cerebrum_edge.metrics import EdgeMetrics
from cerebrum_edge.relay.verdict import error_from_answer
from cerebrum_edge.routing import ModelInfo
from cerebrum_edge.settings import Backend
from cerebrum_kit import sse
from cerebrum_kit.errors import CerebrumError, UpstreamError, UpstreamTimeout, UpstreamUnavailable
from cerebrum_kit.keys import KeyFileError, read_plain_key
from cerebrum_kit.logs import get_logger
from cerebrum_kit.request_id import current_request_id
from cerebrum_kit.settings import credential

log = get_logger(__name__)
_LISTING_SECONDS = 10.0
_RETRY_SECONDS = 5.0
# For what a backend answers at once, whatever it is doing; only generations may be silent for longer.
_SHORT_SECONDS = 5.0


class Upstream:
    """One backend over one connection pool.

    Args:
        fallback_key: presented when the backend has no key file.
        transport: for tests; the network by default.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        metrics: EdgeMetrics,
        clock: Callable[[], float],
        connect_timeout: float,
        idle_timeout: float,
        fallback_key: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.backend = backend
        self._metrics = metrics
        self._clock = clock
        self._fallback_key = fallback_key
        self._client = httpx.AsyncClient(
            base_url=backend.url,
            timeout=httpx.Timeout(idle_timeout, connect=connect_timeout, pool=connect_timeout),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=32, keepalive_expiry=30),
            transport=transport,
            trust_env=False,  # a proxy variable of the host must not send prompts and keys elsewhere
        )
        self._listing: tuple[ModelInfo, ...] = ()
        self._listed_at: float | None = None
        self._listing_task: asyncio.Task[tuple[ModelInfo, ...]] | None = None
        self.available = False

    async def close(self) -> None:
        await self._client.aclose()

    async def models(self, *, fresh: bool = False) -> tuple[ModelInfo, ...]:
        """The backend's models, at most ten seconds old. Callers that come together share one request and its end."""
        if not fresh and self._listed_at is not None and self._clock() - self._listed_at <= _LISTING_SECONDS:
            return self._listing
        if self._listing_task is None:
            task = self._listing_task = asyncio.create_task(self._list())
            task.add_done_callback(lambda one: one.cancelled() or one.exception())  # whoever asked may have left
        return await asyncio.shield(self._listing_task)

    async def _list(self) -> tuple[ModelInfo, ...]:
        try:
            answer = await self._get("/v1/models")
            try:
                self._listing = tuple(ModelInfo.parse(row) for row in answer["models"])
            except (KeyError, TypeError, ValueError, OverflowError) as exc:
                raise UpstreamError("The backend's list of models is not one of ours.") from exc
            self._listed_at = self._clock()
            return self._listing
        finally:
            self._listing_task = None

    async def health(self) -> dict[str, Any]:
        """The backend's own `/health`."""
        return await self._get("/health")

    @asynccontextmanager
    async def stream(self, body: dict[str, Any]) -> AsyncIterator[AsyncIterator[sse.Event]]:
        """Opens `/v1/inference/stream`; its status is checked before the block runs.

        Leaving the block closes the connection, which is how the backend learns that nobody listens.
        """
        with self._translated():
            request = self._client.build_request("POST", "/v1/inference/stream", json=body, headers=self._headers())
            response = await self._client.send(request, stream=True)
        try:
            with self._translated():
                if response.status_code != 200:
                    raise error_from_answer(response.status_code, await response.aread(), response.headers)
            yield self._events(response)
        finally:
            await response.aclose()

    async def _events(self, response: httpx.Response) -> AsyncIterator[sse.Event]:
        decoder = sse.Decoder()
        with self._translated():
            try:
                async for chunk in response.aiter_bytes():
                    for event in decoder.feed(chunk):
                        yield event
                decoder.finish()
            except sse.SSEError as exc:
                raise UpstreamError(f"The backend's stream is broken: {exc}.") from exc

    async def _get(self, path: str) -> dict[str, Any]:
        with self._translated():
            response = await self._client.get(path, headers=self._headers(), timeout=_SHORT_SECONDS)
            if response.status_code != 200:
                raise error_from_answer(response.status_code, response.content, response.headers)
            try:
                answer = response.json()
            except ValueError as exc:
                raise UpstreamError("The backend's answer is not JSON.") from exc
        if not isinstance(answer, dict):
            raise UpstreamError("The backend's answer is not an object.")
        return answer

    def _headers(self) -> dict[str, str]:
        headers = {"x-request-id": current_request_id.get()} if current_request_id.get() else {}
        if self.backend.api_key_file is not None:
            try:
                headers["x-api-key"] = read_plain_key(credential(self.backend.api_key_file))
            except KeyFileError as exc:
                log.warning("key cannot be read", backend=self.backend.name, reason=str(exc))
                raise UpstreamUnavailable(
                    f"The key for backend {self.backend.name} cannot be read.", retry_after=_RETRY_SECONDS
                ) from exc
        elif self._fallback_key is not None:
            headers["x-api-key"] = self._fallback_key
        return headers

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turns the client library's exceptions into ours, and keeps the backend's metrics."""
        name = self.backend.name
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as exc:
            raise self._failed(
                UpstreamUnavailable(f"The backend {name} cannot be reached.", retry_after=_RETRY_SECONDS)
            ) from exc
        except httpx.TimeoutException as exc:
            raise self._failed(UpstreamTimeout(f"The backend {name} was silent for too long.")) from exc
        except httpx.HTTPError as exc:
            raise self._failed(UpstreamError(f"The connection to backend {name} broke.")) from exc
        except CerebrumError as exc:
            if exc.who == "upstream":
                self._failed(exc)
            raise
        else:
            self.available = True
            self._metrics.backend_up.labels(name).set(1)

    def _failed(self, error: CerebrumError) -> CerebrumError:
        self.available = False
        self._metrics.backend_up.labels(self.backend.name).set(0)
        self._metrics.backend_failures.labels(self.backend.name, error.code).inc()
        return error
