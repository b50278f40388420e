"""Starts an app, tells the service manager how it is, and brings it to a clean end.

Under systemd the listening socket is inherited, readiness and the watchdog are reported by the event loop itself, and
SIGTERM starts a drain: no new connections, running streams finish, and what has not finished after `drain_seconds`
ends with the error event of its dialect. A second SIGTERM says that the time is over now.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from dataclasses import dataclass, field
from types import FrameType
from typing import NoReturn

import uvicorn
from fastapi import FastAPI

from cerebrum_kit.lifecycle import Lifecycle
from cerebrum_kit.logs import get_logger
from cerebrum_kit.server.protocol import Limits, limited_protocol
from cerebrum_kit.server.systemd import Notifier, inherited_sockets

log = get_logger(__name__)

# After the drain's end streams write their last event; this is for that, not for more work.
_LAST_WORDS_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class ServerOptions:
    host: str
    port: int
    drain_seconds: float
    limits: Limits = field(default_factory=Limits)
    keep_alive_seconds: int = 75


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, lifecycle: Lifecycle, drain_seconds: float) -> None:
        super().__init__(config)
        self._lifecycle = lifecycle
        self._drain_seconds = drain_seconds
        self._notifier = Notifier()
        self._loop: asyncio.AbstractEventLoop | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Not uvicorn's own: that one raises the signal again at the end, and a clean end should exit with 0.
        self._lifecycle.begin_drain()
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        elif self.should_exit and self._loop is not None:
            self._loop.call_soon_threadsafe(self._hurry)  # what a handler interrupted may be the loop itself
        self.should_exit = True

    def _hurry(self) -> None:
        log.info("asked again to stop: what still runs ends", connections=len(self.server_state.connections))
        self._lifecycle.expire_drain()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets=sockets)
        if self.should_exit:
            return
        self._notifier.notify(READY="1", STATUS=self._lifecycle.status)
        log.info("serving", status=self._lifecycle.status, addresses=self._addresses())
        if self._notifier.watchdog_seconds:
            self._watchdog = asyncio.create_task(self._feed_watchdog(self._notifier.watchdog_seconds / 3))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._notifier.notify(STOPPING="1", STATUS="draining")
        log.info("draining", seconds=self._drain_seconds, connections=len(self.server_state.connections))
        expiry = asyncio.get_running_loop().call_later(self._drain_seconds, self._lifecycle.expire_drain)
        try:
            await super().shutdown(sockets=sockets)
        finally:
            expiry.cancel()
            log.info("stopped")

    async def _feed_watchdog(self, every: float) -> None:
        status = ""
        while True:
            stuck = self._lifecycle.stuck()
            if stuck is not None:
                log.error("stuck: the service manager is not told that all is well", reason=stuck)
            fields = {} if stuck else {"WATCHDOG": "1"}
            if status != (status := self._lifecycle.status):
                fields["STATUS"] = status
            if fields:
                self._notifier.notify(**fields)
            await asyncio.sleep(every)

    def _addresses(self) -> list[str]:
        names = [sock.getsockname() for server in self.servers for sock in server.sockets]
        return [f"http://{f'[{name[0]}]' if ':' in name[0] else name[0]}:{name[1]}" for name in names]


def run(app: FastAPI, options: ServerOptions) -> NoReturn:
    """Serves `app` until a signal; does not return.

    `app.state.lifecycle` must hold the app's `Lifecycle`.
    """
    config = uvicorn.Config(
        app,
        host=options.host,
        port=options.port,
        http=limited_protocol(options.limits),
        loop="uvloop",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here trusts what a client says of its own address
        timeout_keep_alive=options.keep_alive_seconds,
        timeout_graceful_shutdown=int(options.drain_seconds + _LAST_WORDS_SECONDS),
    )
    server = _Server(config, app.state.lifecycle, options.drain_seconds)
    sockets = inherited_sockets()
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=sockets or None)
    sys.exit(0 if server.started else 3)
