"""From the edge to a backend's models, one link after the other: which one is broken, and what mends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from cerebrum_edge.relay.upstream import Upstream
from cerebrum_kit.errors import CerebrumError

_SECONDS = 5.0


class _Broken(Exception):
    """What is wrong, and what mends it."""


async def walk(upstream: Upstream, clock: Callable[[], float]) -> AsyncIterator[dict[str, Any]]:
    """The links in their order, up to and with the first that is broken."""
    for link, test in (("connect", _connect), ("health", _health), ("key", _key), ("model", _model)):
        started = clock()
        try:
            message, mend = await test(upstream), None
        except _Broken as exc:
            message, mend = exc.args
        yield {
            "link": link,
            "ok": mend is None,
            "seconds": round(clock() - started, 4),
            "message": message,
            "mend": mend,
        }
        if mend is not None:
            return


async def _connect(upstream: Upstream) -> str:
    address = urlsplit(upstream.backend.url)
    host, port = address.hostname or "", address.port or (443 if address.scheme == "https" else 80)
    try:
        async with asyncio.timeout(_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        raise _Broken(
            f"{host}:{port} does not answer within {_SECONDS:g} s",
            "is the tailnet or the tunnel up on both ends, and does the backend's firewall let this host in?",
        ) from None
    except ConnectionRefusedError:
        raise _Broken(
            f"{host}:{port} refuses connections",
            f"is {_service(upstream)}, and on this address?",
        ) from None
    except OSError as exc:
        raise _Broken(
            f"{host}:{port} cannot be reached: {exc.strerror or exc}",
            "is the address right, and is the tailnet or the tunnel up on this host?",
        ) from exc
    writer.close()
    return f"{host}:{port} accepts connections"


def _service(upstream: Upstream) -> str:
    if upstream.backend.kind == "openai":
        return "the server running there"
    return "cerebrum-inference running there (systemctl status 'cerebrum-inference*')"


async def _health(upstream: Upstream) -> str:
    foreign = upstream.backend.kind == "openai"
    what = "server" if foreign else "inference service"
    answer = await _asked(
        upstream.health(), f"what listens there is no {what}, or it is stuck: see its log, restart it"
    )
    if foreign:
        return "it answers"
    if answer.get("service") != "inference":
        raise _Broken(
            f"what answers there calls itself {str(answer.get('service'))[:64]!r}",
            "the backend's url must name an inference service",
        )
    problem = answer.get("problem")
    return f"release {answer.get('release')}, {answer.get('status')}" + (f": {problem}" if problem else "")


async def _key(upstream: Upstream) -> str:
    if upstream.backend.kind == "openai":
        path, mend = (
            "/v1/models",
            "the key in the edge's key file must be one that the server takes: edge_upstreams has it",
        )
    else:
        path, mend = (
            "/v1/slots",
            "the key in the edge's key file must be one of the backend's; deploying both hosts again puts it there",
        )
    await _asked(upstream.get(path), mend)
    return "the backend takes the edge's key"


async def _model(upstream: Upstream) -> str:
    models = await _asked(upstream.models(), "see the backend's log")
    if not models:
        raise _Broken("the backend has no model", "put a model into its store and its manifest, or deploy it again")
    return ", ".join(f"{model.id}{'' if model.loaded else ' (on demand)'}" for model in models)


async def _asked(question: Awaitable[Any], mend: str) -> Any:
    try:
        return await question
    except CerebrumError as exc:
        raise _Broken(exc.message, mend) from exc
