"""A backend as the edge sees it: HTTP in, bytes and typed errors out. I/O only; nothing is decided here.

The client is aiohttp: a stream's tokens come one by one, and what each of them costs on the way through decides how
many streams a Pi can relay (docs/performance.md has the figures).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from cerebrum_edge.relay.body import Body
from cerebrum_edge.relay.exchange import OURS, Exchange
from cerebrum_edge.relay.verdict import UpstreamBroke, UpstreamRefused, error_from_answer
from cerebrum_edge.routing import ModelInfo
from cerebrum_edge.settings import Backend
from cerebrum_kit.errors import CerebrumError, UpstreamError, UpstreamTimeout, UpstreamUnavailable
from cerebrum_kit.keys import KeyFileError, PlainKey
from cerebrum_kit.logs import get_logger
from cerebrum_kit.request_id import current_request_id
from cerebrum_kit.settings import credential

log = get_logger(__name__)
RETRY_SECONDS = 5.0
# For what a backend answers at once, whatever it is doing; only generations may be silent for longer.
_SHORT_SECONDS = 5.0
ERROR_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `first_byte` and `idle` end with any byte, a keep-alive comment too."""

    connect: float
    first_byte: float
    idle: float
    total: float


def new_session(timeouts: Timeouts) -> aiohttp.ClientSession:
    """The connections to all backends; to be made in a running event loop."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=timeouts.connect),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,  # a proxy variable of the host must not send prompts and keys elsewhere
    )


class Upstream:
    """One backend.

    Attributes:
        foreign: no service of ours. It is asked for streams alone, and takes nothing up behind token ids.

    Args:
        fallback_key: presented when the backend has no key file.
        answered: told of each answer to a completion, with the release that its head names, or None.
    """

    foreign = False

    def __init__(
        self,
        backend: Backend,
        session: aiohttp.ClientSession,
        timeouts: Timeouts,
        *,
        fallback_key: str | None = None,
        answered: Callable[[str | None], None] = lambda _release: None,
    ) -> None:
        self.backend = backend
        self._session = session
        self._timeouts = timeouts
        self._fallback_key = fallback_key
        self._answered = answered
        self._key = None if backend.api_key_file is None else PlainKey(credential(backend.api_key_file))
        self._first_byte = backend.first_byte_timeout or timeouts.first_byte
        # A service of ours gives signs of life from the beginning of its answer.
        self._silent_at_first = timeouts.idle

    def exchange(self) -> Exchange:
        """What an attempt is made with."""
        return OURS

    async def health(self) -> dict[str, Any]:
        """What it says of itself, now."""
        return await self.get("/health")

    async def models(self) -> tuple[ModelInfo, ...]:
        """The models that it has now."""
        answer = await self.get("/v1/models")
        try:
            return tuple(ModelInfo.parse(row) for row in answer["models"])
        except (KeyError, TypeError, ValueError, OverflowError) as exc:
            raise UpstreamError("The backend's list of models is not one of ours.") from exc

    async def get(self, path: str) -> dict[str, Any]:
        """The object at `path`, which it answers at once or not at all."""
        answer = parsed(await self.glance(path))
        if not isinstance(answer, dict):
            raise UpstreamError("The backend's answer is not an object.")
        return answer

    async def glance(self, path: str) -> bytes:
        """Whatever stands at `path`."""
        with self._translated():
            async with (
                asyncio.timeout(_SHORT_SECONDS),
                self._session.get(self.backend.url + path, headers=self._headers()) as response,
            ):
                if response.status != 200:
                    raise await self._error(response)
                return await response.read()

    async def post(self, path: str, body: bytes, *, prefix: str = "") -> bytes:
        """The whole JSON answer to `body`, an object; cancelling closes the connection, and the backend learns of it.

        Nothing comes until it is complete, so silence says nothing: while it lasts, the backend's health is asked.

        Args:
            prefix: what a balancer goes by, see `guard.balance.prefix_of`.
        """
        answer = asyncio.create_task(self._post(path, body, prefix))
        try:
            while not (await asyncio.wait([answer], timeout=self._timeouts.idle))[0]:
                await self.health()
            return answer.result()
        finally:
            answer.cancel()
            await asyncio.gather(answer, return_exceptions=True)

    async def _post(self, path: str, body: bytes, prefix: str) -> bytes:
        with self._translated():
            async with (
                asyncio.timeout(self._timeouts.total),
                await self._open(path, body, prefix) as response,
            ):
                if response.status != 200:
                    raise await self._error(response)
                if response.content_type == "text/event-stream":
                    raise UpstreamRefused("The backend streams where it was asked for a whole answer.")
                answer = await response.read()
        if not isinstance(parsed(answer), dict):
            raise UpstreamError("The backend's answer is not an object.")
        return answer

    @asynccontextmanager
    async def stream(
        self, path: str, body: bytes, *, patience: float | None = None, prefix: str = ""
    ) -> AsyncIterator[Body]:
        """Posts `body`; the answer's status is checked before the block runs. Leaving it closes the connection, unless
        the answer was read to its end.

        Args:
            patience: seconds until the answer must have begun, where that is sooner than usual.
            prefix: as for `post`.
        """
        times, loop = self._timeouts, asyncio.get_running_loop()
        ends = loop.time() + times.total
        opened: Body | None = None
        with self._translated():
            async with asyncio.timeout(self._first_byte if patience is None else min(self._first_byte, patience)):
                response = await self._open(path, body, prefix)
        try:
            if response.status != 200:
                with self._translated():
                    async with asyncio.timeout(_SHORT_SECONDS):
                        raise await self._error(response)
            opened = Body(response, self._silent_at_first, times.idle, ends)
            with self._translated(opened):
                yield opened
        finally:
            opened.close() if opened is not None else response.close()

    async def _open(self, path: str, body: bytes, prefix: str) -> aiohttp.ClientResponse:
        """Posts `body`, and again where the connection was gone: one that was kept may have been closed at its far end
        in the moment in which it was taken, which says nothing about the backend.
        """
        url, headers = self.backend.url + path, self._headers()
        if prefix and self.backend.balanced:
            headers["x-cerebrum-prefix"] = prefix
        try:
            response = await self._session.post(url, data=body, headers=headers)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            await asyncio.sleep(0)  # others that were closed are found to be so
            response = await self._session.post(url, data=body, headers=headers)
        self._answered(response.headers.get("x-cerebrum-release"))
        return response

    @staticmethod
    async def _error(response: aiohttp.ClientResponse) -> CerebrumError:
        return error_from_answer(response.status, await response.content.read(ERROR_BYTES), response.headers)

    def _headers(self) -> dict[str, str]:
        headers = {"content-type": "application/json"}
        if current_request_id.get():
            headers["x-request-id"] = current_request_id.get()
        if self._key is not None:
            try:
                headers.update(self._shown(self._key.read()))
            except KeyFileError as exc:
                log.warning("key cannot be read", backend=self.backend.name, reason=str(exc))
                raise UpstreamUnavailable(
                    f"The key for backend {self.backend.name} cannot be read.", retry_after=RETRY_SECONDS
                ) from exc
        elif self._fallback_key is not None:
            headers.update(self._shown(self._fallback_key))
        return headers

    @staticmethod
    def _shown(key: str) -> dict[str, str]:
        return {"x-api-key": key}

    @contextmanager
    def _translated(self, body: Body | None = None) -> Iterator[None]:
        """Turns the client library's exceptions into ours."""
        name = self.backend.name
        try:
            yield
        except CerebrumError:
            raise
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as exc:
            raise UpstreamUnavailable(f"The backend {name} cannot be reached.", retry_after=RETRY_SECONDS) from exc
        except TimeoutError as exc:
            raise UpstreamTimeout(f"The backend {name} was silent for too long.") from exc
        except (aiohttp.ClientError, OSError) as exc:
            if body is not None and body.late:
                raise UpstreamTimeout(f"The backend {name} {body.late}.") from exc
            raise UpstreamBroke(f"The connection to backend {name} broke.") from exc


def parsed(answer: bytes) -> Any:
    """What a backend's answer says. Raises UpstreamError where it is no JSON."""
    try:
        return json.loads(answer)
    except (ValueError, RecursionError) as exc:
        raise UpstreamError("The backend's answer is not JSON.") from exc
