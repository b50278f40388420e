"""The thread that owns a model's context: it takes jobs from the queue and computes a step after the other.

Between two steps it honours cancellations and deadlines and gives free slots to waiting jobs; in a step every stream
gets its next token and prompts get what time is left. What the streams get is handed to the event loop once a step.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence

from cerebrum_inference.batching.cache import PrefixCache
from cerebrum_inference.batching.inbox import Inbox
from cerebrum_inference.batching.job import Item, Job
from cerebrum_inference.batching.options import WorkerOptions
from cerebrum_inference.batching.slot import Slot
from cerebrum_inference.batching.stats import LEAST_RATED_TOKENS, ModelStats
from cerebrum_inference.batching.step import Step
from cerebrum_inference.batching.store import PrefixStore
from cerebrum_inference.engine import Finish
from cerebrum_inference.llama import Context, Model
from cerebrum_inference.scheduling.rates import Rates, Work
from cerebrum_inference.turns import Turns
from cerebrum_kit.errors import CerebrumError, DeadlineExceeded, Internal, Overloaded
from cerebrum_kit.logs import get_logger
from cerebrum_kit.responses import shutting_down

log = get_logger(__name__)
# A step that takes longer than this many times what is usual, and than the least time, is stuck.
_STUCK_FACTOR, _STUCK_SECONDS = 20.0, 30.0


class Worker:
    """See the module. Methods are called from the event loop, those with an underscore from the thread.

    Args:
        turns: the one right to compute, shared by all models.
        pinned: prompts whose computed prefix stays in the cells.
    """

    def __init__(
        self,
        name: str,
        model: Model,
        context: Context,
        options: WorkerOptions,
        *,
        key: str,
        store: PrefixStore,
        stats: ModelStats,
        turns: Turns,
        loop: asyncio.AbstractEventLoop,
        pinned: Sequence[Sequence[int]] = (),
    ) -> None:
        self.name = name
        self.options = options
        self.rates = Rates()
        self.stats = stats
        self.threads = options.threads
        self.slots = [Slot(number) for number in range(options.slots)]
        self._prompts = [list(prompt) for prompt in pinned]
        self._pinned = [Slot(options.slots + at, pinned=True) for at in range(len(pinned))]
        self._inbox = Inbox()
        self._context = context
        self._turns = turns
        self._loop = loop
        self._outbox: list[tuple[Job, Item | None]] = []
        self._progress = time.monotonic()
        self.cache = PrefixCache(
            key, context, [*self.slots, *self._pinned], store, stats, idle_tokens=options.idle_tokens
        )
        self._step = Step(model, context, self.cache, options, stats, emit=self._emit, finish=self._finish)
        self._thread = threading.Thread(target=self._run, name=f"model-{name}", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Jobs without a slot."""
        return len(self._inbox)

    @property
    def busy(self) -> int:
        """Jobs with a slot."""
        return sum(slot.job is not None for slot in self.slots)

    @property
    def cells(self) -> int:
        """Tokens that the cache holds at most."""
        return self._context.cells

    def cells_used(self) -> tuple[int, int]:
        """Tokens of running generations, and those that are kept for others."""
        live = sum(len(slot.tokens) for slot in self.slots if slot.job is not None)
        idle = sum(len(slot.tokens) for slot in (*self.slots, *self._pinned) if slot.job is None)
        return live, idle

    def submit(self, job: Job, *, max_queue: int) -> Job | None:
        """Queues a job; returns the one for which there is no place: this one, or one of a client that has more."""
        free = sum(slot.job is None for slot in self.slots)
        if not self.busy and not self.waiting:
            self._progress = time.monotonic()  # a thread that had nothing to do is not late
        return self._inbox.offer(job, max_queue + free)

    def cancel(self, job: Job) -> None:
        """A job whose client left: out of the queue now, or out of its slot before the next step."""
        if self._inbox.cancel(job):
            self.stats.cancelled["queued"] += 1
            job.ended.set()

    def work_ahead(self) -> Work:
        """What a newcomer waits for."""
        waiting = self._inbox.waiting()
        # What a stream has generated makes `left` negative; it takes no work off the others.
        running = [
            (max(0, slot.left), max(0, slot.room - slot.generated)) for slot in self.slots if slot.job is not None
        ]
        return Work(
            prompt_tokens=sum(len(one.prompt) for one in waiting) + sum(left for left, _ in running),
            max_tokens=sum(one.max_tokens for one in waiting) + sum(room for _, room in running),
        )

    def stuck(self, now: float) -> float | None:
        """Seconds without a step though there is work, where that is no longer a long step; else None."""
        usual = self.stats.step_seconds_total / self.stats.steps if self.stats.steps else 0.0
        silence = now - self._progress
        if (self.busy or self.waiting) and silence > max(_STUCK_SECONDS, _STUCK_FACTOR * usual):
            return silence
        return None

    def close(self) -> None:
        """Ends what runs with an error, saves the prefixes and frees the context. Blocks; not for the event loop."""
        self._inbox.close()
        self._thread.join()

    def _run(self) -> None:
        while not self._inbox.closing:
            if not self._active() and not self._pin():
                self._inbox.wait()
            self._progress = time.monotonic()
            try:
                self._sort_out(self._progress)
                if self._active():
                    with self._turns:
                        self._compute()
            except Exception:
                log.exception("a step failed", model=self.name)
                self._fail_all()
            self._deliver()
        self._shut_down()

    def _pin(self) -> bool:
        """While nobody is there: sets out to compute the prefixes that shall stay; False where they are all there."""
        for slot, prompt in zip(self._pinned, self._prompts, strict=True):
            if prompt and not slot.tokens:
                slot.assign(None, prompt, keep=0, room=0, now=time.monotonic())
        return self._active()

    def _active(self) -> bool:
        return any(slot.state != "idle" for slot in self.slots) or any(slot.state != "idle" for slot in self._pinned)

    def _compute(self) -> None:
        self._context.set_threads(self.threads)
        self._step.run([*self.slots, *self._pinned] if self._pinned else self.slots)

    def _fail_all(self) -> None:
        """After a failed step nothing in the cells can be trusted."""
        if not self.busy:  # it was a prefix that was to stay, and would be again
            self._prompts = [[] for _ in self._prompts]
        self.cache.forget()
        for slot in self.slots:
            if slot.job is not None:
                self._fail(slot, Internal(), "error")
        for slot in self._pinned:
            slot.release()

    def _sort_out(self, now: float) -> None:
        """Cancellations, deadlines, and slots for those who wait."""
        for slot in self.slots:
            job = slot.job
            if job is None:
                continue
            if job.cancelled:
                self.stats.cancelled["prefill" if slot.state == "prefill" else "decode"] += 1
                self.stats.outcomes["slow_reader" if job.too_slow else "cancelled"] += 1
                log.info("generation cancelled", generated=slot.generated, request_id=job.generation.request_id)
                self._release(slot)
            elif job.ends is not None and job.ends <= now:
                seconds = f"{job.generation.timeout_seconds:g}"
                self._fail(slot, DeadlineExceeded(f"The request allowed {seconds} seconds; they are over."), "deadline")
        if not len(self._inbox):
            return
        for job in self._inbox.expired(now):
            self.stats.outcomes["deadline"] += 1
            waited = now - job.asked
            message = f"No slot became free within {waited:.0f} seconds."
            self._end(job, Overloaded(message, retry_after=min(600.0, max(1.0, waited))))
        while any(slot.job is None and slot.state == "idle" for slot in self.slots):
            taken = self._inbox.take()
            if taken is None:
                return
            if not taken.cancelled:
                self._begin(taken, now)
            else:
                self._end(taken, shutting_down())

    def _begin(self, job: Job, now: float) -> None:
        asked = job.generation
        prompt = [*asked.prompt, *asked.resumed]
        # Logits of the whole prompt: a place is looked for as if nothing of it were known.
        try:
            found = self.cache.place([] if asked.prompt_logprobs else prompt)
        except Exception:
            self._end(job, Internal())
            raise
        assert found is not None, "a slot was idle"
        slot, keep = found
        try:
            self._step.assign(slot, job, prompt, keep, context=self.options.context, now=now)
        except CerebrumError as exc:
            self._fail(slot, exc, "error")
        except Exception:
            log.exception("a generation could not begin", request_id=asked.request_id)
            self._fail(slot, Internal(), "error")

    def _emit(self, slot: Slot) -> None:
        assert slot.job is not None
        self._outbox.append((slot.job, slot.take_piece()))

    def _finish(self, slot: Slot, finish: Finish) -> None:
        job = slot.job
        assert job is not None
        self.stats.outcomes[finish.reason] += 1
        if finish.generated_tokens - finish.resumed_tokens >= LEAST_RATED_TOKENS:
            self.stats.request_rate.observe(finish.tokens_per_second)
        self.rates.observe(
            computed=finish.prompt_tokens + finish.resumed_tokens - slot.cached,
            prefill_seconds=finish.prefill_seconds,
            generated=finish.generated_tokens - finish.resumed_tokens,
            decode_seconds=finish.decode_seconds,
            allowed=job.generation.max_tokens,
        )
        if slot.out_tokens or slot.out_text:
            self._emit(slot)
        self._outbox.append((job, finish))
        self._release(slot)

    def _fail(self, slot: Slot, error: Exception, outcome: str) -> None:
        job = slot.job
        self.stats.outcomes[outcome] += 1
        slot.release()
        self.cache.trim()
        if job is not None:
            self._end(job, error)

    def _release(self, slot: Slot) -> None:
        job = slot.job
        slot.release()
        self.cache.trim()
        if job is not None:
            self._outbox.append((job, None))

    def _end(self, job: Job, error: Exception) -> None:
        self._outbox.append((job, error))
        self._outbox.append((job, None))

    def _deliver(self) -> None:
        """One wake-up of the event loop for all that a step brought."""
        if self._outbox:
            batch, self._outbox = self._outbox, []
            self._loop.call_soon_threadsafe(_hand_out, batch)

    def _shut_down(self) -> None:
        for slot in self.slots:
            if slot.job is not None:
                self._fail(slot, shutting_down(), "cancelled")
        while (job := self._inbox.take()) is not None:
            self._end(job, shutting_down())
        self._deliver()
        self.cache.save_all()
        self._context.close()


def _hand_out(batch: Sequence[tuple[Job, Item | None]]) -> None:
    for job, item in batch:
        if item is None:
            job.ended.set()
        else:
            job.push(item)
