"""The bytes of a backend's answer as they come. I/O only."""

from __future__ import annotations

import asyncio
import contextlib

import aiohttp


class Body:
    """The bytes of an answer that has begun, with an end to the patience.

    One timer looks now and then when the last byte came: a timer for each read would cost more than the read.
    """

    def __init__(self, response: aiohttp.ClientResponse, first: float, idle: float, ends: float) -> None:
        self._response = response
        self._idle = first
        self._later = idle
        self._ends = ends
        self._loop = asyncio.get_running_loop()
        self._reading: float | None = None
        self.late: str | None = None
        self._timer = self._loop.call_at(min(self._loop.time() + first, ends), self._look)

    def begun(self) -> None:
        """The first token has come: from now on silence is what it is in the middle of an answer."""
        if self._later < self._idle:
            self._idle = self._later
            self._timer.cancel()
            self._timer = self._loop.call_at(min(self._loop.time() + self._idle, self._ends), self._look)

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
