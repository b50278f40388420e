"""What a request must pass before the app sees it: its Host, its address, its key, its size."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection, Sequence

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cerebrum_kit.errors import Forbidden, InvalidRequest, PromptTooLarge, Unauthorized
from cerebrum_kit.keys import KeyRing

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class HostMiddleware:
    """Refuses a `Host` that is not ours, so that a web page cannot reach the service by rebinding its own name.

    IP literals, `localhost` and this machine's names are always allowed, `raspberrypi.local` among them; a request
    without Host, or with two, is not.
    """

    def __init__(self, app: ASGIApp, *, allowed_hosts: Collection[str] = ()) -> None:
        self.app = app
        machine = socket.gethostname().lower()
        own = {"localhost", machine, f"{machine.partition('.')[0]}.local", socket.getfqdn().lower()}
        self._allowed = own | {name.lower().rstrip(".") for name in allowed_hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            hosts = [value for name, value in scope["headers"] if name == b"host"]
            if len(hosts) != 1:
                raise InvalidRequest(
                    f"A request needs exactly one Host header; this one has {len(hosts)}.",
                    param="Host",
                    headers={"connection": "close"},
                )
            if not self._is_allowed(hosts[0].decode("latin-1")):
                raise Forbidden(
                    "This Host is not allowed here; use the address, the machine's name, or one of allowed_hosts.",
                    param="Host",
                )
        await self.app(scope, receive, send)

    def _is_allowed(self, host: str) -> bool:
        name = host_name(host)
        if name is None:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name.lower().rstrip(".") in self._allowed
        return True


def host_name(host: str) -> str | None:
    """The name or address of a Host header without its port; None where it has another form."""
    if host.startswith("["):
        name, closed, rest = host[1:].partition("]")
        if not closed or (rest and not _is_port(rest)):
            return None
        return name
    name, colon, port = host.partition(":")
    if colon and not _is_port(":" + port):
        return None
    return name or None


def _is_port(text: str) -> bool:
    return text.startswith(":") and text[1:].isascii() and text[1:].isdigit()


class AuthMiddleware:
    """Admits a request that presents a known key, from an allowed address.

    The key comes as `X-API-Key` or as `Authorization: Bearer`. Paths in `open_paths` need none.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: KeyRing | None,
        open_paths: Collection[str] = (),
        allowed_clients: Sequence[Network] = (),
    ) -> None:
        self.app = app
        self._keys = keys
        self._open = frozenset(open_paths)
        self._clients = tuple(allowed_clients)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in self._open:
            if self._clients and not self._client_allowed(scope):
                raise Forbidden("This client's address is not among the allowed ones.")
            if self._keys is not None:
                presented = _presented_key(scope)
                key_id = None if presented is None else self._keys.check(presented)
                if key_id is None:
                    raise Unauthorized(
                        "A valid key is needed, as X-API-Key or as Authorization: Bearer.",
                        headers={"www-authenticate": "Bearer"},
                    )
                scope["cerebrum.key_id"] = key_id
        await self.app(scope, receive, send)

    def _client_allowed(self, scope: Scope) -> bool:
        if not scope.get("client"):
            return False
        address = ipaddress.ip_address(scope["client"][0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._clients)


def _presented_key(scope: Scope) -> bytes | None:
    bearer = None
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            return bytes(value)
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            bearer = bytes(value[7:].strip())
    return bearer


class BodyLimitMiddleware:
    """Reads the request's body before the app runs, counting, and hands it on in one piece.

    Bodies here are JSON, which nobody can use in part, so nothing is lost by reading them whole; and a client that
    sends without end is stopped by what it sent, whatever its Content-Length said.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self.app = app
        self._limit = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if declared.isdigit() and int(declared[:20]) > self._limit:
            raise self._too_large()
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            body += message.get("body", b"")
            if len(body) > self._limit:
                raise self._too_large()
            if not message.get("more_body", False):
                break
        handed_on = False

        async def replay() -> Message:
            nonlocal handed_on
            if handed_on:
                return await receive()
            handed_on = True
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        await self.app(scope, replay, send)

    def _too_large(self) -> PromptTooLarge:
        # The rest of the body is still on its way: closing is the only way not to read it.
        return PromptTooLarge(
            f"The request's body is larger than {self._limit} bytes.", headers={"connection": "close"}
        )
