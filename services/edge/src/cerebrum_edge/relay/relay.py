"""Drives one answer through as many attempts as it takes; `survival`, `guard` and `answer` make the decisions."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Callable
from typing import Any

from cerebrum_edge.guard.balance import Nobody, prefix_of
from cerebrum_edge.guard.retry import RetryBudget, RetryPolicy
from cerebrum_edge.metrics import EdgeMetrics
from cerebrum_edge.relay.answer import Answer
from cerebrum_edge.relay.exchange import Exchange
from cerebrum_edge.relay.frames import Frames
from cerebrum_edge.relay.pool import Lease, Pool
from cerebrum_edge.relay.survival import Survival, SurvivalPolicy, TryAgain
from cerebrum_edge.relay.upstream import Upstream
from cerebrum_edge.relay.verdict import is_final, was_taken
from cerebrum_edge.waits import Waits
from cerebrum_kit.errors import CerebrumError, Overloaded, UpstreamError, UpstreamUnavailable
from cerebrum_kit.logs import get_logger
from cerebrum_kit.sse import SSEError

log = get_logger(__name__)
# For the end of a connection's answer behind its last event, so that the connection can be used again.
_END_SECONDS = 1.0


class Relay:
    """See the module; one for all answers.

    Args:
        jitter: gives random numbers from 0 to 1, which keep retries apart.
    """

    def __init__(
        self,
        pool: Pool,
        survival: SurvivalPolicy,
        *,
        metrics: EdgeMetrics,
        clock: Callable[[], float],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.pool = pool
        self.resumes = 0
        self._survival = survival
        self._retries = RetryPolicy()
        self._budget = RetryBudget(self._retries)
        self._metrics = metrics
        self._clock = clock
        self._jitter = jitter

    async def run(self, answer: Answer, *, model: str, key: bytes, waits: Waits) -> AsyncGenerator[bytes, None]:
        """The client's events, several at a time where they come together.

        To be closed (`contextlib.aclosing`): that is how the backend learns that nobody listens.

        Args:
            waits: runs while the backends are waited for, up to the first event.

        Raises:
            CerebrumError: what the answer ends with.
        """
        self._budget.deposit()
        survival = Survival(self._survival, self._retries, self._budget)
        tried: set[str] = set()
        again: TryAgain | None = None
        error: CerebrumError | None = None
        prefix = prefix_of(model, key)
        while True:
            waits.begin()
            lease = await self._lease(model, key, tried, again, error, ids=answer.needs_ids)
            waits.end()
            had, taken, answered, exchange = answer.pieces, False, False, lease.member.upstream.exchange()
            if answer.begun:
                self.resumes += 1
                self._metrics.resumes.inc()
                log.warning("a stream is taken up again", backend=lease.member.name, tokens=answer.tokens)
            patience = None if again is None or again.until is None else max(0.1, again.until - self._clock())
            try:
                with self.pool.using(lease):
                    path, request = exchange.request(answer.path, answer.request())
                    waits.begin()
                    async with lease.member.upstream.stream(path, request, patience=patience, prefix=prefix) as body:
                        taken, frames = True, Frames()
                        while not answer.done and (data := await body.read()):
                            if not answered:
                                waits.end()
                            if events := answer.feed(exchange.frames(_split(frames, data))):
                                if not answered:
                                    answered = True
                                    lease.answered()
                                    body.begun()
                                yield events
                            elif not answered:
                                waits.begin()
                            if failed := answer.error or exchange.error:
                                raise failed
                        if not answer.done and (events := answer.feed(exchange.end())):
                            yield events
                        if not answer.done:
                            raise UpstreamError(f"The backend's stream was cut after {answer.tokens} tokens.")
                        await body.finish(_END_SECONDS)
                    return
            except CerebrumError as exc:
                error = exc
                waits.end()
            if events := answer.feed(exchange.end()):
                yield events
            if answer.done:
                return  # complete, though its connection did not end as it should
            if exchange.amended(error):
                continue
            again = self._after(
                survival,
                lease,
                error,
                tried,
                model,
                taken=taken or was_taken(error),
                progress=answer.pieces > had,
                can_resume=answer.can_resume,
            )

    async def ask(
        self, path: str, body: dict[str, Any], *, model: str, key: bytes, waits: Waits, patient: bool = True
    ) -> bytes:
        """A whole JSON answer. Nothing of it is shown before it is complete: a lost backend costs a repetition.

        Args:
            waits: runs while the backends are waited for.
            patient: whether to wait for a backend to come back.

        Raises:
            CerebrumError: what became of it.
        """
        self._budget.deposit()
        survival = Survival(self._survival, self._retries, self._budget)
        tried: set[str] = set()
        again: TryAgain | None = None
        error: CerebrumError | None = None
        prefix = prefix_of(model, key)
        encoded = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        while True:
            waits.begin()
            lease = await self._lease(model, key, tried, again, error)
            exchange = lease.member.upstream.exchange()
            try:
                with self.pool.using(lease):
                    return await _whole(lease.member.upstream, exchange, path, encoded, prefix)
            except CerebrumError as exc:
                error = exc
            finally:
                waits.end()
            if exchange.amended(error):
                continue
            again = self._after(survival, lease, error, tried, model, taken=patient and was_taken(error))

    def _after(
        self,
        survival: Survival,
        lease: Lease,
        error: CerebrumError,
        tried: set[str],
        model: str,
        *,
        taken: bool,
        progress: bool = False,
        can_resume: bool = True,
    ) -> TryAgain:
        """What follows a failed attempt. Raises its error where that is the end."""
        again = survival.failed(
            self._clock(),
            final=is_final(error),
            taken=taken,
            progress=progress,
            can_resume=can_resume,
            jitter=self._jitter(),
        )
        if again is None:
            raise error
        log.warning("an attempt failed", backend=lease.member.name, code=error.code, reason=error.message)
        # The others first; when all have been asked, all may be asked again.
        tried.add(lease.member.name)
        if tried >= self.pool.having(model):
            tried.clear()
        return again

    async def _lease(
        self,
        model: str,
        key: bytes,
        tried: set[str],
        again: TryAgain | None,
        error: CerebrumError | None,
        *,
        ids: bool = False,
    ) -> Lease:
        """Leave to ask a backend: now, or, for an answer that had begun, as soon as there is one."""
        if again is None or again.until is None:
            if again is not None:
                await asyncio.sleep(again.wait)
            found = self.pool.pick(model, key=key, tried=tried, ids=ids)
            if isinstance(found, Nobody):
                raise error or self._refusal(found)
            return found
        with self.pool.anxious():
            await asyncio.sleep(again.wait)
            while isinstance(found := self.pool.pick(model, key=key, tried=tried, ids=ids), Nobody):
                left = again.until - self._clock()
                if left <= 0:
                    raise error or self._refusal(found)
                tried.clear()
                await self.pool.changed(min(left, max(found.retry_in, 0.05)))
            return found

    def _refusal(self, nobody: Nobody) -> CerebrumError:
        wait = max(1.0, nobody.retry_in)
        full = all(member.candidate.breaker.retry_in(self._clock()) == 0 for member in self.pool.members)
        if full:
            return Overloaded("Every backend is busy and asked for a pause.", retry_after=wait)
        return UpstreamUnavailable("The backends do not answer; they are left alone for a while.", retry_after=wait)


async def _whole(upstream: Upstream, exchange: Exchange, path: str, body: bytes, prefix: str) -> bytes:
    """A whole JSON answer, streamed where the backend has it in no other form."""
    if not upstream.foreign:
        return await upstream.post(path, body, prefix=prefix)
    async with upstream.stream(*exchange.request(path, body), prefix=prefix) as stream:
        frames, said = Frames(), list[bytes]()
        while not said and exchange.error is None and (data := await stream.read()):
            said = exchange.frames(_split(frames, data))
        said = said or exchange.end()
        if exchange.error or not said:
            raise exchange.error or UpstreamError("The backend's answer was cut.")
        return said[0]


def _split(frames: Frames, data: bytes) -> list[bytes]:
    try:
        return frames.feed(data)
    except SSEError as exc:
        raise UpstreamError(f"The backend's stream is broken: {exc}.") from exc
