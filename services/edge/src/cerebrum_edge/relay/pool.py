"""All backends together: who has which model, who may be asked now, and what became of it.

The decisions are made by `guard` and `routing`; here they meet the backends, the clock and the metrics.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from cerebrum_edge.guard.balance import Candidate, Nobody, choose
from cerebrum_edge.guard.breaker import Attempt
from cerebrum_edge.metrics import EdgeMetrics
from cerebrum_edge.relay.upstream import Upstream
from cerebrum_edge.relay.verdict import is_failure
from cerebrum_edge.routing import ModelInfo, merged
from cerebrum_kit.errors import CerebrumError, ModelNotFound, Overloaded, UpstreamUnavailable
from cerebrum_kit.logs import get_logger

log = get_logger(__name__)
_PROBE_SECONDS = 10.0
# While a stream waits for a backend to come back.
_ANXIOUS_SECONDS = 0.25


@dataclass(slots=True, eq=False)
class Member:
    """A backend and what the edge knows of it.

    Attributes:
        models: its last listing; None before the first.
        problem: what the last probe found wrong, or None.
    """

    upstream: Upstream
    candidate: Candidate
    models: tuple[ModelInfo, ...] | None = None
    problem: str | None = "not asked yet"
    probing: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        return self.upstream.backend.name


class Lease:
    """Leave to ask a backend once; what came of it is reported when it ends."""

    def __init__(self, member: Member, attempt: Attempt, clock: Callable[[], float]) -> None:
        self.member = member
        self._attempt = attempt
        self._clock = clock

    def answered(self) -> None:
        """The first token has come."""
        self._attempt = self.member.candidate.breaker.answered(self._attempt, self._clock())

    def report(self, error: BaseException | None) -> None:
        breaker, now = self.member.candidate.breaker, self._clock()
        if error is None:
            breaker.success(self._attempt, now)
        elif isinstance(error, CerebrumError) and is_failure(error, balanced=self.member.upstream.backend.balanced):
            breaker.failure(self._attempt, now)
        else:
            breaker.abandon(self._attempt, now)


class Pool:
    def __init__(self, members: Sequence[Member], *, metrics: EdgeMetrics, clock: Callable[[], float]) -> None:
        self.members = tuple(members)
        self._metrics = metrics
        self._clock = clock
        self._anxious = 0
        self._worried = asyncio.Event()
        self._changed = asyncio.Event()

    @property
    def available(self) -> bool:
        """Whether any backend answered its last probe."""
        return any(member.problem is None for member in self.members)

    @property
    def problem(self) -> str | None:
        """What keeps the pool from answering: None as long as one backend works."""
        if self.available:
            return None
        return "; ".join(f"backend {member.name}: {member.problem}" for member in self.members)

    async def models(self, *, fresh: bool = False) -> tuple[ModelInfo, ...]:
        """The models of all backends. They are asked only where `fresh` is wanted or nothing is known yet.

        Raises:
            CerebrumError: no backend has ever told.
        """
        unknown = [member for member in self.members if fresh or member.models is None]
        if fresh or len(unknown) == len(self.members):
            await asyncio.gather(*(self.probe(member) for member in unknown))
        listings = [member.models for member in self.members if member.models is not None]
        if not listings:
            raise UpstreamUnavailable(
                f"No backend answers ({self.problem or 'it has just come back'}).", retry_after=self.retry_in()
            )
        return merged(listings)

    async def probe(self, member: Member) -> None:
        """Asks a backend for its models, which takes a valid key. Callers that come together share one request."""
        if member.probing is None:
            member.probing = asyncio.create_task(self._probe(member))
        await asyncio.shield(member.probing)

    async def _probe(self, member: Member) -> None:
        try:
            member.models = await member.upstream.models()
        except CerebrumError as exc:
            self._seen(member, exc)
            member.problem = exc.message
        else:
            self._seen(member, None)
            member.problem = None
            member.candidate.breaker.hasten(self._clock())
            self._changed.set()
        finally:
            member.probing = None

    def having(self, model: str) -> set[str]:
        """The names of the backends that have the model."""
        return {member.name for member in self._having(model)}

    def has_foreign(self, model: str) -> bool:
        """Whether one of them is no service of ours."""
        return any(member.upstream.foreign for member in self._having(model))

    def _having(self, model: str) -> list[Member]:
        return [member for member in self.members if any(one.id == model for one in member.models or ())]

    def pick(self, model: str, *, key: bytes, tried: Collection[str] = (), ids: bool = False) -> Lease | Nobody:
        """Leave to ask one of the backends that have the model.

        Args:
            ids: only those that take an answer up behind token ids.

        Raises:
            ModelNotFound: none of them has it any more.
        """
        now = self._clock()
        having = [member for member in self._having(model) if not (ids and member.upstream.foreign)]
        if not having:
            raise ModelNotFound(f"The backends no longer have the model {model!r}.", param="model")
        found = choose([member.candidate for member in having], key=key, now=now, tried=tried)
        if isinstance(found, Nobody):
            return found
        attempt = found.breaker.attempt(now)
        assert attempt is not None, "a candidate that is chosen may be asked"
        return Lease(next(member for member in having if member.candidate is found), attempt, self._clock)

    @contextmanager
    def using(self, lease: Lease) -> Iterator[None]:
        """Counts the request as the backend's while the block runs, and reports how it ended."""
        lease.member.candidate.outstanding += 1
        error: BaseException | None = None
        try:
            yield
        except BaseException as exc:
            error = exc
            raise
        finally:
            lease.member.candidate.outstanding -= 1
            lease.report(error)
            if error is None or isinstance(error, CerebrumError):
                self._seen(lease.member, error)
            # Of several hosts behind a balancer, one that is busy does not speak for all.
            alone = not lease.member.upstream.backend.balanced
            if alone and isinstance(error, Overloaded) and error.retry_after is not None:
                lease.member.candidate.aside.set_aside(self._clock() + error.retry_after)

    def _seen(self, member: Member, error: CerebrumError | None) -> None:
        """Keeps the metrics: a backend is up when it answers, if only to say no."""
        up = error is None or not is_failure(error, balanced=member.upstream.backend.balanced)
        self._metrics.backend_up[member.name].set(up)
        if not up and error is not None:
            self._metrics.backend_failures[member.name, error.code].inc()
        for change in member.candidate.breaker.drain():
            self._metrics.breaker_transitions[member.name, change.after].inc()
            log.warning("breaker", backend=member.name, before=change.before, after=change.after)

    def retry_in(self) -> float:
        """Seconds until a backend may be asked."""
        now = self._clock()
        return max(1.0, min(member.candidate.retry_in(now) for member in self.members))

    @contextmanager
    def anxious(self) -> Iterator[None]:
        """While the block runs, backends that do not answer are probed all the time."""
        self._anxious += 1
        self._worried.set()
        try:
            yield
        finally:
            self._anxious -= 1
            if not self._anxious:
                self._worried.clear()

    async def changed(self, seconds: float) -> None:
        """Waits until a backend has answered a probe, or the time is over."""
        self._changed.clear()
        await _bounded(self._changed.wait(), seconds)

    async def watch(self, told: Callable[[str | None], None]) -> None:
        """Probes for ever; `told` hears what keeps the pool from answering."""
        await asyncio.gather(*(self._watch(member, told) for member in self.members))

    async def _watch(self, member: Member, told: Callable[[str | None], None]) -> None:
        while True:
            if self._anxious:
                await asyncio.sleep(_ANXIOUS_SECONDS)
            else:
                await _bounded(self._worried.wait(), _PROBE_SECONDS)
            try:
                await self.probe(member)
            except Exception:  # the watch must outlive whatever it meets; the next probe tells the truth again
                log.exception("probe failed", backend=member.name)
                member.problem = "the probe failed"
            told(self.problem)


async def _bounded(waiting: Awaitable[object], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await waiting
    except TimeoutError:
        return
