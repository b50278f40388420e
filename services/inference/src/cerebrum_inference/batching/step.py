"""One step: what goes into the batch, and what becomes of its logits."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from time import monotonic

import numpy as np

from cerebrum_inference.batching.cache import PrefixCache
from cerebrum_inference.batching.job import Job
from cerebrum_inference.batching.options import WorkerOptions
from cerebrum_inference.batching.slot import Slot
from cerebrum_inference.batching.stats import ModelStats
from cerebrum_inference.engine import Finish, FinishReason
from cerebrum_inference.llama import Context, LlamaError, Model, Sampler
from cerebrum_inference.llama.context import Floats
from cerebrum_inference.llama.logprobs import report, report_prompt
from cerebrum_inference.scheduling.lookup import LONGEST_DRAFT, PromptLookup, StepCosts
from cerebrum_inference.scheduling.pacing import PrefillPacer
from cerebrum_inference.scheduling.plan import Prompt, share_rows
from cerebrum_kit.errors import InvalidRequest

# Streams that decode side by side fill the cores by themselves: with more of them a draft costs what it brings.
MOST_SPECULATING = 3
# What a step may take while no stream waits for a token: a newcomer, or a cancellation, waits for its end.
_LONE_STEP_SECONDS = 4.0
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
        self._speculate = options.speculate and model.can_forget
        self._paced = PrefillPacer(budget_seconds=options.step_seconds, most_rows=context.batch)
        self._lone = PrefillPacer(budget_seconds=_LONE_STEP_SECONDS, most_rows=context.batch, first_rows=context.batch)
        self._costs = StepCosts(MOST_SPECULATING * (LONGEST_DRAFT + 1))

    def assign(self, slot: Slot, job: Job, prompt: list[int], keep: int, *, context: int, now: float) -> None:
        """A generation begins in an idle slot that holds `keep` tokens of its prompt.

        Raises:
            InvalidRequest: llama.cpp does not understand the grammar.
        """
        asked = job.generation
        slot.assign(job, prompt, keep=keep, room=min(asked.max_tokens, context - len(prompt)), now=now)
        try:
            slot.sampler = Sampler(self._model, asked.sampling, random_seed=secrets.randbits(32), grammar=asked.grammar)
        except LlamaError as exc:
            raise InvalidRequest(f"The format that was asked for cannot be enforced: {exc}.") from exc
        stats = self._stats
        stats.queue_wait.observe(now - job.asked)
        stats.prompt_cached += keep
        if keep:
            stats.prefix_hits += 1
        else:
            stats.prefix_misses += 1

    def run(self, slots: Sequence[Slot]) -> None:
        """Computes one step for everything that is in work.

        Raises:
            LlamaError: the step failed, and what the cells hold is unknown.
        """
        started = monotonic()
        context = self._context
        context.begin()
        decoding = [slot for slot in slots if slot.state == "decode"]
        filling = [slot for slot in slots if slot.state == "prefill"]
        drafts = self._drafts(decoding) if not filling else {}
        for slot in decoding:
            at = len(slot.tokens)
            context.add(slot.next, at, slot.sequence)
            for offset, token in enumerate(drafts.get(slot.sequence, ()), 1):
                context.add(token, at + offset, slot.sequence)
        decode_rows = context.rows
        chunks = self._fill(filling, decode_rows, started) if filling else []
        before = monotonic()
        if not context.decode():
            if not self._cache.make_room():
                raise LlamaError("the context is full, and nothing in it can be given up")
            return  # the same again, with more room
        now = monotonic()
        self._observe(len(decoding), decode_rows, drafts, now - before)
        self._sample(decoding, drafts, chunks, now)
        for slot in slots:
            if slot.out_tokens and (filling or now - slot.emitted >= self._options.coalesce_seconds):
                slot.emitted = now
                self._emit(slot)
        self._stats.overhead_seconds += monotonic() - started - (now - before)

    def _drafts(self, decoding: Sequence[Slot]) -> dict[int, list[int]]:
        """Drafts by sequence; most streams have none."""
        if not self._speculate or not decoding or len(decoding) > MOST_SPECULATING:
            return {}
        costs = self._costs.drafts(len(decoding), LONGEST_DRAFT)
        if not costs:
            return {}
        drafts = {}
        for slot in decoding:
            if slot.lookup is None:
                slot.lookup = PromptLookup([*slot.tokens, slot.next])
            size = min(slot.gate.size(costs), slot.room - slot.generated - 1)
            if size > 0 and (draft := slot.lookup.draft(size)):
                drafts[slot.sequence] = draft
        return drafts

    def _fill(self, filling: Sequence[Slot], decode_rows: int, now: float) -> list[tuple[Slot, int, int]]:
        """Adds rows of prompts; the slots that got some, how many, and their last row in the batch."""
        context = self._context
        pacer = self._paced if decode_rows else self._lone
        rows = min(pacer.rows(), context.batch - decode_rows)
        waiting = [Prompt(slot.sequence, slot.left, now - slot.started) for slot in filling if slot.job is not None]
        if not waiting:  # nobody waits: time for what is pinned
            waiting = [Prompt(slot.sequence, slot.left, 0.0) for slot in filling]
        by_sequence = {slot.sequence: slot for slot in filling}
        outputs = context.outputs - decode_rows
        chunks = []
        for sequence, share in share_rows(waiting, rows):
            slot = by_sequence[sequence]
            count, at = share, len(slot.tokens)
            every = slot.job is not None and slot.job.generation.prompt_logprobs
            if every:
                count = min(count, outputs)
            last = slot.job is not None and count == slot.left
            needed = count if every else int(last)
            if count <= 0 or needed > outputs:
                continue
            outputs -= needed
            part = slot.prompt[at : at + count]
            row = context.extend(part, at, sequence, wanted="all" if every else "last" if last else "none")
            chunks.append((slot, count, row))
        return chunks

    def _observe(self, streams: int, decode_rows: int, drafts: dict[int, list[int]], seconds: float) -> None:
        stats, rows = self._stats, self._context.rows
        stats.steps += 1
        stats.step_seconds_total += seconds
        stats.busy_slot_steps += streams
        stats.step_seconds.observe(seconds)
        stats.rows.observe(rows)
        if rows == decode_rows:
            stats.decode_seconds += seconds
            self._costs.observe(rows, seconds)
            if drafts:
                stats.drafted += sum(map(len, drafts.values()))
        else:
            stats.prefill_seconds += seconds
            stats.prompt_computed += rows - decode_rows
            (self._paced if decode_rows else self._lone).observe(rows - decode_rows, seconds)

    def _sample(
        self,
        decoding: Sequence[Slot],
        drafts: dict[int, list[int]],
        chunks: Sequence[tuple[Slot, int, int]],
        now: float,
    ) -> None:
        """Chooses every stream's next token; rows with logits come in the order in which they were added."""
        wanted = bool(decoding) or any(_has_output(slot, count) for slot, count, _ in chunks)
        logits = self._context.logits() if wanted else _NOTHING
        output = row = 0
        best = self._all_greedy(decoding, logits) if decoding and not drafts else None
        for slot in decoding:
            draft = drafts.get(slot.sequence, ())
            slot.tokens.append(slot.next)
            if best is not None:
                self._take(slot, best[output], now)
            else:
                self._verify(slot, draft, logits, output, row, now)
            output += 1 + len(draft)
            row += 1 + len(draft)
        for slot, count, last in chunks:
            at = len(slot.tokens)
            slot.tokens += slot.prompt[at : at + count]
            if slot.job is None:
                if slot.left == 0:
                    slot.release()
                continue
            if slot.job.generation.prompt_logprobs:
                reported = slot.job.generation.logprobs or 0
                slot.out_logprobs += report_prompt(
                    self._model, slot.prompt, at, logits[output : output + count], reported
                )
                output += count - 1
            if slot.left == 0:
                slot.state, slot.decoding = "decode", now
                self._take(slot, self._choose(slot, logits[output], last), now)
                output += 1
            elif slot.job.generation.prompt_logprobs:
                output += 1

    @staticmethod
    def _all_greedy(decoding: Sequence[Slot], logits: Floats) -> list[int] | None:
        """Every stream's token at once, where each takes the likeliest one."""
        for output, slot in enumerate(decoding):
            assert slot.sampler is not None
            assert slot.job is not None
            if not slot.sampler.plain_greedy or slot.job.generation.logprobs is not None:
                return None
            slot.sampler.bias(logits[output])
        chosen: list[int] = logits[: len(decoding)].argmax(axis=1).tolist()
        return chosen

    def _verify(self, slot: Slot, draft: Sequence[int], logits: Floats, output: int, row: int, now: float) -> None:
        """Samples as far as the draft agrees, and takes back the cells of what does not."""
        held = 0
        for offset in range(len(draft) + 1):
            token = self._choose(slot, logits[output + offset], row + offset)
            if not self._take(slot, token, now) or offset == len(draft) or token != draft[offset]:
                break
            slot.tokens.append(draft[offset])
            held += 1
        if draft:
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
        stats.decode_rate.add(1, now)
        if slot.generated == 1:
            stats.first_token.observe(now - job.asked)
        else:
            stats.inter_token.observe(now - slot.last_token)
        slot.last_token = now
        slot.out_tokens.append(token)
        slot.out_text.append(text.feed(self._model.piece(token)))
        if text.stopped:
            self._end(slot, "stop", now)
            return False
        if slot.generated >= slot.room:
            slot.out_text.append(text.finish())
            self._end(slot, "stop" if text.stopped else "length", now)
            return False
        slot.next = token
        if slot.lookup is not None:
            slot.lookup.append(token)
        return True

    def _end(self, slot: Slot, reason: FinishReason, now: float) -> None:
        job = slot.job
        assert job is not None
        self._stats.generation.observe(now - job.asked)
        self._stats.most_tokens = max(self._stats.most_tokens, len(slot.tokens))
        self._finish(slot, slot.finish(reason, now))


def _has_output(slot: Slot, count: int) -> bool:
    """Whether a chunk of so many rows, which are not counted in the slot yet, has logits."""
    return slot.job is not None and (slot.left == count or slot.job.generation.prompt_logprobs)
