"""The way of every completion through the edge: a place, a model, a shorter prompt, a backend's stream."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from cerebrum_edge.api.resources import Resources
from cerebrum_edge.pace import Pace
from cerebrum_edge.relay.answer import Answer
from cerebrum_edge.relay.verdict import UpstreamRefused
from cerebrum_edge.routing import ModelInfo, Route
from cerebrum_edge.waits import Waits
from cerebrum_kit.errors import CerebrumError
from cerebrum_kit.request_id import current_request_id
from cerebrum_kit.responses import EventStreamResponse, JobResponse

STREAMED: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}
"""For the OpenAPI document: routes that answer with events."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a request comes down to.

    Attributes:
        key: of its conversation, see `guard.balance.affinity`.
        over: called when the answer has ended, however it did.
    """

    answer: Answer
    route: Route
    key: bytes
    over: Callable[[], None] = lambda: None


Planner = Callable[[Sequence[ModelInfo], "Asked"], Awaitable[Plan]]


@dataclass(frozen=True, slots=True)
class Arrived:
    """A request for a completion on its way.

    Attributes:
        at: when it came.
        waits: what of its time is not the edge's own.
    """

    deps: Resources
    at: float
    waits: Waits

    def elapsed(self) -> float:
        """Seconds since the request came."""
        return self.deps.clock() - self.at

    async def models(self) -> Sequence[ModelInfo]:
        """The models that there are."""
        self.waits.begin()
        models = await self.deps.relay.pool.models()
        self.waits.end()
        return models

    def first(self) -> None:
        """The first event is there, or the answer as a whole: what has gone by without waiting was the edge's own."""
        self.deps.metrics.overhead.observe(max(0.0, self.elapsed() - self.waits.seconds))


@dataclass(frozen=True, slots=True)
class Asked(Arrived):
    """One whose answer may be a stream.

    Attributes:
        plan: makes its plan from the models that there are, once there is a place for it.
        headers: of the response; filled by the plan.
    """

    plan: Planner
    headers: dict[str, str] = field(default_factory=dict)


@asynccontextmanager
async def _planned(asked: Asked) -> AsyncIterator[Plan]:
    """A place in the edge while the block runs, and what is to be done in it."""
    deps = asked.deps
    async with deps.gate.admitted(asked.waits):
        plan = await asked.plan(await asked.models(), asked)
        try:
            yield plan
        finally:
            plan.over()
            deps.metrics.tokens.inc(plan.answer.tokens)


@asynccontextmanager
async def _events(asked: Asked, plan: Plan) -> AsyncIterator[AsyncIterator[bytes]]:
    """The client's events, from the first one on; everything that they hold is released when the block ends."""
    deps = asked.deps
    answer, pace = plan.answer, Pace(deps.metrics, deps.clock, asked.at)
    async with aclosing(deps.relay.run(answer, model=plan.route.model, key=plan.key, waits=asked.waits)) as events:
        first = await anext(events)  # what fails before it becomes an HTTP status instead of an event
        asked.first()
        pace.seen(answer.pieces)
        yield _behind(first, events, answer, pace)


async def _behind(first: bytes, events: AsyncIterator[bytes], answer: Answer, pace: Pace) -> AsyncIterator[bytes]:
    yield first
    async for more in events:
        pace.seen(answer.pieces)
        yield more


def streamed(asked: Asked, render_error: Callable[[CerebrumError, str], bytes]) -> EventStreamResponse:
    """The answer as it comes."""

    @asynccontextmanager
    async def open_stream() -> AsyncIterator[AsyncIterator[bytes]]:
        async with _planned(asked) as plan, _events(asked, plan) as events:
            yield events

    return EventStreamResponse(
        open_stream,
        lifecycle=asked.deps.lifecycle,
        render_error=lambda error: render_error(error, current_request_id.get()),
        headers=asked.headers,
    )


def collected(asked: Asked, whole: Callable[[bytes], dict[str, Any]]) -> JobResponse:
    """The answer at once. Where it may be long it is streamed from the backend all the same: what has come is not lost
    with the backend then.
    """

    async def work() -> dict[str, Any] | bytes:
        async with _planned(asked) as plan:
            short = None if asked.deps.relay.pool.has_foreign(plan.route.model) else plan.answer.short()
            if short is not None:
                path, body = short
                # A backend that has only streams is asked for one.
                with contextlib.suppress(UpstreamRefused):
                    answer = await asked.deps.relay.ask(
                        path, body, model=plan.route.model, key=plan.key, waits=asked.waits
                    )
                    taken = plan.answer.take_whole(answer)
                    asked.first()
                    return taken
            async with _events(asked, plan) as events:
                return whole(b"".join([chunk async for chunk in events]))

    return JobResponse(work, lifecycle=asked.deps.lifecycle, headers=asked.headers)


def arrive(deps: Resources, *, ignored: int) -> Arrived:
    """A request has come.

    Args:
        ignored: fields that it had and nobody knows.
    """
    deps.totals.requests += 1
    if ignored:
        deps.metrics.ignored_fields.inc(ignored)
    return Arrived(deps, deps.clock(), Waits(deps.clock))


def begin(deps: Resources, plan: Planner, *, ignored: int) -> Asked:
    """A request has come that is answered by `plan`; see `arrive`."""
    arrived = arrive(deps, ignored=ignored)
    return Asked(deps, arrived.at, arrived.waits, plan)
