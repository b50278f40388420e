"""One step: what goes into the batch, and what becomes of its logits."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from time import monotonic

import numpy as np

from cerebrum_inference.batching.cache import PrefixCache
from cerebrum_inference.batching.fill import Batch, Chunk, Filler
from cerebrum_inference.batching.job import Job
from cerebrum_inference.batching.options import WorkerOptions
from cerebrum_inference.batching.slot import Slot
from cerebrum_inference.batching.stats import ModelStats
from cerebrum_inference.engine import Finish, FinishReason
from cerebrum_inference.llama import Context, LlamaError, Model, Sampler
from cerebrum_inference.llama.context import Floats
from cerebrum_inference.llama.logprobs import report, report_prompt
from cerebrum_kit.errors import InvalidRequest

_NOTHING: Floats = np.empty((0, 0), np.float32)


class Step:
    """Runs steps over slots. Used by the model's thread alone.

    Args:
        emit: hands on what a slot has to say.
        finish: a slot's generation is over.
    """

    def __init__(
        self,
        model: Model,
        context: Context,
        cache: PrefixCache,
        options: WorkerOptions,
        stats: ModelStats,
        *,
        emit: Callable[[Slot], None],
        finish: Callable[[Slot, Finish], None],
    ) -> None:
        self._model = model
        self._context = context
        self._cache = cache
        self._options = options
        self._stats = stats
        self._emit = emit
        self._finish = finish
        self._filler = Filler(context, options, speculate=options.speculate and model.can_forget)

    def assign(self, slot: Slot, job: Job, prompt: list[int], keep: int, *, context: int, now: float) -> None:
        """A generation begins in an idle slot that holds `keep` tokens of its prompt.

        Raises:
            InvalidRequest: llama.cpp does not understand the grammar.
        """
        asked = job.generation
        slot.assign(job, prompt, keep=keep, room=min(asked.max_tokens, context - len(asked.prompt)), now=now)
        try:
            slot.sampler = Sampler(self._model, asked.sampling, random_seed=secrets.randbits(32), grammar=asked.grammar)
        except LlamaError as exc:
            raise InvalidRequest(f"The format that was asked for cannot be enforced: {exc}.") from exc
        if asked.resumed:
            self._catch_up(slot, asked.resumed)
        stats = self._stats
        stats.queue_wait.observe(now - job.asked)
        stats.prompt_cached += keep
        if keep:
            stats.prefix_hits += 1
        else:
            stats.prefix_misses += 1

    def _catch_up(self, slot: Slot, resumed: Sequence[int]) -> None:
        """Text and sampler as they were when the last of these tokens had been generated.

        Raises:
            InvalidRequest: they are not what the format allows.
        """
        assert slot.text is not None
        assert slot.sampler is not None
        for token in resumed:
            slot.text.feed(self._model.piece(token))
        if not slot.sampler.replay(resumed):
            raise InvalidRequest("resume_tokens: these tokens do not follow the format that is asked for.")

    def _over(self, slot: Slot, now: float) -> bool:
        """Ends a resumed stream of which only the end was missing."""
        assert slot.text is not None
        if slot.text.stopped:
            self._end(slot, "stop", now)
            return True
        if slot.generated >= slot.room:
            slot.out_text.append(slot.text.finish())
            self._end(slot, "stop" if slot.text.stopped else "length", now)
            return True
        return False

    def run(self, slots: Sequence[Slot]) -> None:
        """Computes one step for everything that is in work.

        Raises:
            LlamaError: the step failed, and what the cells hold is unknown.
        """
        started = monotonic()
        batch = self._filler.fill(slots, started)
        before = monotonic()
        if not self._context.decode():
            if not self._cache.make_room():
                raise LlamaError("the context is full, and nothing in it can be given up")
            return  # the same again, with more room
        now = monotonic()
        self._filler.observe(batch, now - before)
        self._count(batch, now - before)
        self._sample(batch, now)
        for slot in slots:
            if slot.out_tokens and (batch.chunks or now - slot.emitted >= self._options.coalesce_seconds):
                slot.emitted = now
                self._emit(slot)
        self._stats.overhead_seconds += monotonic() - started - (now - before)

    def _count(self, batch: Batch, seconds: float) -> None:
        stats, computed = self._stats, sum([chunk.count for chunk in batch.chunks]) if batch.chunks else 0
        stats.steps += 1
        stats.step_seconds_total += seconds
        stats.busy_slot_steps += len(batch.decoding)
        stats.step_seconds.observe(seconds)
        stats.rows.observe(batch.rows)
        stats.prompt_computed += computed
        if computed:
            stats.prefill_seconds += seconds
        else:
            stats.decode_seconds += seconds

    def _sample(self, batch: Batch, now: float) -> None:
        """Chooses every stream's next token; rows with logits come in the order in which they were added."""
        before = self._stats.generated
        wanted = bool(batch.decoding) or any(chunk.outputs for chunk in batch.chunks)
        logits = self._context.logits() if wanted else _NOTHING
        best = None if batch.drafts or not batch.decoding else self._all_greedy(batch.decoding, logits)
        output = 0
        for slot in batch.decoding:
            draft = batch.drafts.get(slot.sequence, ())
            slot.tokens.append(slot.next)
            if best is not None:
                self._take(slot, best[output], now)
            else:  # these rows are the batch's first ones, so that their index among the outputs is that in the batch
                self._verify(slot, draft, logits, output, now)
            output += 1 + len(draft)
        for chunk in batch.chunks:
            self._advance(chunk, logits[output : output + chunk.outputs], now)
            output += chunk.outputs
        self._stats.decode_rate.add(self._stats.generated - before, now)

    def _advance(self, chunk: Chunk, logits: Floats, now: float) -> None:
        """A part of a prompt is in the cells now; with the last one the stream begins."""
        slot, at = chunk.slot, len(chunk.slot.tokens)
        slot.tokens += slot.prompt[at : at + chunk.count]
        if slot.job is None:
            if slot.left == 0:
                slot.release()
            return
        if slot.job.generation.prompt_logprobs:
            count = slot.job.generation.logprobs or 0
            slot.out_logprobs += report_prompt(self._model, slot.prompt, at, logits, count)
        if slot.left == 0:
            slot.state, slot.decoding = "decode", now
            if not self._over(slot, now):
                self._take(slot, self._choose(slot, logits[-1], chunk.last), now)

    @staticmethod
    def _all_greedy(decoding: Sequence[Slot], logits: Floats) -> list[int] | None:
        """Every stream's token at once, where each takes the likeliest one."""
        samplers = []
        for slot in decoding:
            assert slot.sampler is not None
            assert slot.job is not None
            if not slot.sampler.plain_greedy or slot.job.generation.logprobs is not None:
                return None
            samplers.append(slot.sampler)
        for output, sampler in enumerate(samplers):
            if sampler.biased:
                sampler.bias(logits[output])
        chosen: list[int] = logits[: len(decoding)].argmax(axis=1).tolist()
        return chosen

    def _verify(self, slot: Slot, draft: Sequence[int], logits: Floats, first: int, now: float) -> None:
        """Samples as far as the draft agrees, and takes back the cells of what does not."""
        held = 0
        for offset in range(len(draft) + 1):
            token = self._choose(slot, logits[first + offset], first + offset)
            if not self._take(slot, token, now) or offset == len(draft) or token != draft[offset]:
                break
            slot.tokens.append(draft[offset])
            held += 1
        if draft:
            self._stats.drafted += len(draft)
            self._stats.accepted += held
            slot.drafted += len(draft)
            slot.accepted += held
            slot.gate.observe(len(draft), held)
            if held < len(draft):
                self._context.truncate(slot.sequence, len(slot.tokens))

    def _choose(self, slot: Slot, logits: Floats, row: int) -> int | None:
        assert slot.sampler is not None
        assert slot.job is not None
        count = slot.job.generation.logprobs
        raw = logits.copy() if count is not None else None
        slot.sampler.bias(logits)
        token = slot.sampler.sample(logits, self._context, row)
        if raw is not None and token is not None and token not in self._model.end_tokens:
            slot.out_logprobs.append(report(self._model, raw, token, count or 0))
        return token

    def _take(self, slot: Slot, token: int | None, now: float) -> bool:
        """The stream's next token; False when it was the last one, and the slot is free again."""
        stats, text, job = self._stats, slot.text, slot.job
        assert text is not None
        assert job is not None
        if token is None or (token in self._model.end_tokens and not job.generation.sampling.ignore_eos):
            slot.out_text.append(text.finish())
            self._end(slot, "stop", now)
            return False
        slot.generated += 1
        stats.generated += 1
        if not slot.last_token:
            stats.first_token.observe(now - job.asked)
        else:
            stats.inter_token.observe(now - slot.last_token)
        slot.last_token = now
        slot.out_tokens.append(token)
        slot.out_text.append(text.feed(self._model.piece(token)))
        if self._over(slot, now):
            return False
        slot.next = token
        if slot.lookup is not None:
            slot.lookup.append(token)
        return True

    def _end(self, slot: Slot, reason: FinishReason, now: float) -> None:
        job = slot.job
        assert job is not None
        self._stats.generation.observe(now - job.asked)
        # The cells may hold more of a draft than came true; whoever finishes the slot may save them.
        self._context.truncate(slot.sequence, len(slot.tokens))
        self._finish(slot, slot.finish(reason, now))
