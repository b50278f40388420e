"""A backend as the edge sees it: HTTP in, bytes and typed errors out. I/O only; nothing is decided here.

The client is aiohttp: a stream's tokens come one by one, and what each of them costs on the way through decides how
many streams a Pi can relay (docs/performance.md has the figures).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

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
_ERROR_BYTES = 64 * 1024


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


class Body:
    """The bytes of an answer that has begun, with an end to the patience.

    One timer looks now and then when the last byte came: a timer for each read would cost more than the read.
    """

    def __init__(self, response: aiohttp.ClientResponse, idle: float, ends: float) -> None:
        self._response = response
        self._idle = idle
        self._ends = ends
        self._loop = asyncio.get_running_loop()
        self._reading: float | None = None
        self.late: str | None = None
        self._timer = self._loop.call_at(min(self._loop.time() + idle, ends), self._look)

    async def read(self) -> bytes:
        """What has come since the last call; waits for at least one byte. Empty at the end."""
        self._reading = self._loop.time()
        try:
            return await self._response.content.readany()
        finally:
            self._reading = None

    async def finish(self, seconds: float) -> None:
        """Reads on to the end, so that the connection can serve another request; gives up after `seconds`."""
        with contextlib.suppress(TimeoutError, aiohttp.ClientError):
            async with asyncio.timeout(seconds):
                while not self._response.content.at_eof() and await self._response.content.readany():
                    pass

    def close(self) -> None:
        self._timer.cancel()
        self._response.close()

    def _look(self) -> None:
        now = self._loop.time()
        silent = 0.0 if self._reading is None else now - self._reading
        if now >= self._ends:
            self.late = "took too long"
        elif silent >= self._idle:
            self.late = "was silent for too long"
        if self.late:
            self._response.close()  # which ends the read
        else:
            self._timer = self._loop.call_at(min(now + self._idle - silent, self._ends), self._look)


class Upstream:
    """One backend.

    Args:
        fallback_key: presented when the backend has no key file.
        answered: told of each answer to a completion, with the release that its head names, or None.
    """

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

    async def models(self) -> tuple[ModelInfo, ...]:
        """The models that it has now."""
        answer = await self.get("/v1/models")
        try:
            return tuple(ModelInfo.parse(row) for row in answer["models"])
        except (KeyError, TypeError, ValueError, OverflowError) as exc:
            raise UpstreamError("The backend's list of models is not one of ours.") from exc

    async def get(self, path: str) -> dict[str, Any]:
        """The object at `path`, which it answers at once or not at all."""
        with self._translated():
            async with (
                asyncio.timeout(_SHORT_SECONDS),
                self._session.get(self.backend.url + path, headers=self._headers()) as response,
            ):
                if response.status != 200:
                    raise await self._error(response)
                answer = parsed(await response.read())
        if not isinstance(answer, dict):
            raise UpstreamError("The backend's answer is not an object.")
        return answer

    async def post(self, path: str, body: bytes, *, prefix: str = "") -> bytes:
        """The whole JSON answer to `body`, an object; cancelling closes the connection, and the backend learns of it.

        Nothing comes until it is complete, so silence says nothing: while it lasts, the backend's health is asked.

        Args:
            prefix: what a balancer goes by, see `guard.balance.prefix_of`.
        """
        answer = asyncio.create_task(self._post(path, body, prefix))
        try:
            while not (await asyncio.wait([answer], timeout=self._timeouts.idle))[0]:
                await self.get("/health")
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
            async with asyncio.timeout(times.first_byte if patience is None else min(times.first_byte, patience)):
                response = await self._open(path, body, prefix)
        try:
            if response.status != 200:
                with self._translated():
                    async with asyncio.timeout(_SHORT_SECONDS):
                        raise await self._error(response)
            opened = Body(response, times.idle, ends)
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
        return error_from_answer(response.status, await response.content.read(_ERROR_BYTES), response.headers)

    def _headers(self) -> dict[str, str]:
        headers = {"content-type": "application/json"}
        if current_request_id.get():
            headers["x-request-id"] = current_request_id.get()
        if self._key is not None:
            try:
                headers["x-api-key"] = self._key.read()
            except KeyFileError as exc:
                log.warning("key cannot be read", backend=self.backend.name, reason=str(exc))
                raise UpstreamUnavailable(
                    f"The key for backend {self.backend.name} cannot be read.", retry_after=RETRY_SECONDS
                ) from exc
        elif self._fallback_key is not None:
            headers["x-api-key"] = self._fallback_key
        return headers

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
