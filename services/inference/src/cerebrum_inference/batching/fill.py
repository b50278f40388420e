"""What goes into a step's batch: a row for every stream, drafts that may save a step, and prompts' rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cerebrum_inference.batching.options import WorkerOptions
from cerebrum_inference.batching.slot import Slot
from cerebrum_inference.llama import Context
from cerebrum_inference.scheduling.lookup import LONGEST_DRAFT, PromptLookup, StepCosts
from cerebrum_inference.scheduling.pacing import PrefillPacer
from cerebrum_inference.scheduling.plan import Prompt, came_together, share_rows

# Streams that decode side by side fill the cores by themselves: with more of them a draft costs what it brings.
MOST_SPECULATING = 3
# What a step may take while no stream waits for a token: a newcomer, or a cancellation, waits for its end.
_LONE_STEP_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of a prompt.

    Attributes:
        last: index in the batch of the last one.
        outputs: how many of them have logits.
    """

    slot: Slot
    count: int
    last: int
    outputs: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What was put into a context's batch, in this order.

    Attributes:
        decoding: streams, with a row for the last token and one for each token of their draft.
        drafts: by sequence; most streams have none.
        chunks: prompts' rows behind them.
        padded: rows that nobody reads.
        position: where in their text the prompts' rows stand, on average.
    """

    decoding: Sequence[Slot]
    drafts: Mapping[int, Sequence[int]]
    chunks: Sequence[Chunk]
    padded: int
    rows: int
    position: float


class Filler:
    """Fills batches, and learns from how long they take. Used by the model's thread alone."""

    def __init__(self, context: Context, options: WorkerOptions, *, speculate: bool) -> None:
        self._context = context
        self._scratch = options.scratch
        self._speculate = speculate
        self._pacer = PrefillPacer(
            budget_seconds=options.step_seconds, lone_seconds=_LONE_STEP_SECONDS, most_rows=context.batch
        )
        self._costs = StepCosts(MOST_SPECULATING * (LONGEST_DRAFT + 1))

    def fill(self, slots: Sequence[Slot], now: float) -> Batch:
        """Puts together the next step of everything that is in work."""
        context = self._context
        context.begin()
        decoding = [slot for slot in slots if slot.state == "decode"]
        filling = [slot for slot in slots if slot.state == "prefill"]
        drafts = {} if filling else self._drafts(decoding)
        for slot in decoding:
            at = len(slot.tokens)
            context.add(slot.next, at, slot.sequence)
            for offset, token in enumerate(drafts.get(slot.sequence, ()), 1):
                context.add(token, at + offset, slot.sequence)
        chunks = self._prompts(filling, decoding, now) if filling else []
        position = _mean_position(chunks)
        padded = self._pacer.filling(context.rows, position) if chunks else self._costs.padding(context.rows)
        if padded:
            context.extend([0] * padded, 0, self._scratch, wanted="none")
        return Batch(decoding, drafts, chunks, padded, context.rows, position)

    def observe(self, batch: Batch, seconds: float) -> None:
        """A batch took so long."""
        if batch.padded:
            self._context.drop(self._scratch)
        if not batch.chunks:
            self._costs.observe(batch.rows, seconds)
        else:
            self._pacer.observe(batch.rows, batch.position, seconds)

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

    def _prompts(self, filling: Sequence[Slot], decoding: Sequence[Slot], now: float) -> list[Chunk]:
        """Adds rows of prompts."""
        context = self._context
        room = context.batch - context.rows
        position = sum(len(slot.tokens) for slot in filling) / len(filling)
        rows = min(self._pacer.rows(position, streams=context.rows), room)
        waiting = [
            Prompt(slot.sequence, slot.left, len(slot.prompt) - slot.cached, slot.job.asked, now - slot.started)
            for slot in filling
            if slot.job is not None
        ]
        if not waiting:  # nobody waits: time for what is pinned
            waiting = [Prompt(slot.sequence, slot.left, len(slot.prompt), now, 0.0) for slot in filling]
        elif decoding:
            oldest = min(slot.job.asked for slot in decoding if slot.job is not None)
            together = came_together(waiting, oldest, room)
            if together:
                waiting, rows = together, room
        by_sequence = {slot.sequence: slot for slot in filling}
        outputs = context.outputs - context.rows
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
            chunks.append(Chunk(slot, count, row, needed))
        return chunks


def _mean_position(chunks: Sequence[Chunk]) -> float:
    rows = sum(chunk.count for chunk in chunks)
    return sum(chunk.count * (len(chunk.slot.tokens) + chunk.count / 2) for chunk in chunks) / rows if rows else 0.0
