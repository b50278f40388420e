"""A server that speaks the edge's native protocol and does what a test tells it to, which no real edge would."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from cerebrum_kit.sse import encode_json

HEALTH = {"status": "ok", "service": "edge", "release": "0.1.0-test", "uptime": 75.0, "problem": None}
STATS: dict[str, Any] = {
    "uptime": 3661.0,
    "requests_total": 12,
    "requests_active": 1,
    "requests_waiting": 0,
    "vps_available": True,
    "memory_mb": 61.2,
    "backends": [
        {
            "name": "vps",
            "url": "http://10.0.0.2:9000",
            "available": True,
            "breaker": {"state": "closed", "retry_in": None, "failures": 0},
            "outstanding": 1,
        }
    ],
    "condensation": {"requests": 3, "before": 25_032, "after": 9_501},
    "resumes": 2,
}
MODELS = [{"id": "tiny", "name": "Tiny", "languages": ["python"], "loaded": True, "context": 512}]
DONE: dict[str, Any] = {
    "inference_time": 0.5,
    "model": "tiny",
    "language": "python",
    "finish_reason": "stop",
    "tokens_per_second": 8.0,
    "resumed": 0,
    "condensed": None,
}


@dataclass
class Script:
    """How a completion goes.

    Attributes:
        then: what comes after the tokens. `on` sends the last one again and again.
    """

    tokens: Sequence[str] = ("ok",)
    then: Literal["done", "silence", "on", "death", "failure", "wait"] = "done"
    done: dict[str, Any] = field(default_factory=dict)


@dataclass
class FakeEdge:
    """What the tests tell the server, and what it saw.

    Attributes:
        script: how the next completions go.
        key: what clients must present, if anything.
        asked: a completion was asked for.
        left: a client went before its stream was over.
        resume: set by a test to end a `wait`.
    """

    url: str
    script: Script = field(default_factory=Script)
    key: str | None = None
    stats: dict[str, Any] = field(default_factory=lambda: dict(STATS))
    models: list[dict[str, Any]] = field(default_factory=lambda: list(MODELS))
    backend: dict[str, Any] | None = None
    doctor: dict[str, Any] | None = None
    condensed: dict[str, Any] = field(default_factory=dict)
    requests: list[dict[str, Any]] = field(default_factory=list)
    asked: threading.Event = field(default_factory=threading.Event)
    left: threading.Event = field(default_factory=threading.Event)
    resume: threading.Event = field(default_factory=threading.Event)

    @property
    def prompts(self) -> list[str]:
        return [str(request["prompt"]) for request in self.requests]

    async def events(self) -> AsyncIterator[bytes]:
        """One completion."""
        whole = False
        self.asked.set()
        try:
            total = 0
            for total, token in enumerate(self.script.tokens, 1):
                yield encode_json({"token": token, "total_tokens": total})
            while self.script.then in ("silence", "on") or (self.script.then == "wait" and not self.resume.is_set()):
                await asyncio.sleep(0.01)
                if self.script.then == "on":
                    total += 1
                    yield encode_json({"token": self.script.tokens[-1], "total_tokens": total})
                else:
                    yield b": keep-alive\n\n"
            whole = True
            if self.script.then == "death":
                raise ConnectionAbortedError
            if self.script.then == "failure":
                error = {"message": "The backend went away.", "code": "upstream_error", "request_id": "r-1"}
                yield encode_json({"error": error, "done": True})
                return
            yield encode_json({"done": True, "total_tokens": total, **DONE, **self.script.done})
        finally:
            if not whole:
                self.left.set()


def _app(edge: FakeEdge) -> Starlette:
    def refusal(status: int, code: str, message: str) -> JSONResponse:
        error = {"message": message, "type": "x", "code": code, "param": None, "request_id": "r-1"}
        return JSONResponse({"error": error}, status)

    def guarded(request: Request, answer: Response | None) -> Response:
        if edge.key is not None and request.headers.get("x-api-key") != edge.key:
            return refusal(401, "unauthorized", "This key is not known here.")
        return answer if answer is not None else refusal(404, "not_found", "There is no such path.")

    async def health(request: Request) -> Response:
        return JSONResponse(HEALTH)

    async def facts(request: Request) -> Response:
        path = request.url.path
        if path == "/v1/stats":
            return guarded(request, JSONResponse(edge.stats))
        if path == "/v1/models":
            return guarded(request, JSONResponse({"models": edge.models}))
        if path == "/v1/vps/health" and edge.backend is not None:
            return guarded(request, JSONResponse(edge.backend))
        if path == "/v1/doctor" and edge.doctor is not None:
            return guarded(request, JSONResponse(edge.doctor))
        return guarded(request, None)

    async def posted(request: Request) -> Response:
        body = json.loads(await request.body())
        edge.requests.append(body)
        if request.url.path == "/v1/condense":
            return guarded(request, JSONResponse(edge.condensed))
        return guarded(request, StreamingResponse(edge.events(), media_type="text/event-stream"))

    return Starlette(
        routes=[
            Route("/health", health),
            Route("/v1/complete/stream", posted, methods=["POST"]),
            Route("/v1/condense", posted, methods=["POST"]),
            Route("/{rest:path}", facts),
        ]
    )


@contextlib.contextmanager
def fake_edge() -> Iterator[FakeEdge]:
    """A running one, on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        edge = FakeEdge(f"http://127.0.0.1:{listener.getsockname()[1]}")
        server = uvicorn.Server(uvicorn.Config(_app(edge), log_level="critical", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield edge
        finally:
            edge.resume.set()
            server.should_exit = server.force_exit = True
            thread.join()
