"""A place in the batch: one sequence of the context, and the generation that has it now."""

from __future__ import annotations

import time
from typing import Any

from cerebrum_inference.batching.job import Job
from cerebrum_inference.engine import Finish, FinishReason, Piece, SlotState, SlotView, TokenLogprob
from cerebrum_inference.llama import Sampler
from cerebrum_inference.scheduling.lookup import DraftGate, PromptLookup
from cerebrum_inference.scheduling.output import TextAssembler
from cerebrum_inference.scheduling.prefix import Holder


class Slot:
    """Owned by its model's thread; `view` may be called from the event loop and shows one moment.

    Attributes:
        tokens: what the sequence's cells hold.
        prompt: what they shall hold before the first token is sampled.
        next: the token that was sampled last, and is not in the cells yet.
        pinned: holds a prefix for others, and never a generation.
    """

    def __init__(self, sequence: int, *, pinned: bool = False) -> None:
        self.sequence = sequence
        self.pinned = pinned
        self.state: SlotState = "idle"
        self.job: Job | None = None
        self.tokens: list[int] = []
        self.used = 0.0
        self.prompt: list[int] = []
        self._reset()

    def _reset(self) -> None:
        self.next = -1
        self.room = 0
        self.cached = 0
        self.generated = 0
        self.drafted = 0
        self.accepted = 0
        self.started = 0.0
        self.decoding = 0.0
        self.last_token = 0.0
        self.emitted = 0.0
        self.sampler: Sampler | None = None
        self.text: TextAssembler | None = None
        self.lookup: PromptLookup | None = None
        self.gate = DraftGate()
        self.out_text: list[str] = []
        self.out_tokens: list[int] = []
        self.out_logprobs: list[TokenLogprob] = []

    def assign(self, job: Job | None, prompt: list[int], *, keep: int, room: int, now: float) -> None:
        """A generation (or, without one, a prefix to compute) begins; `keep` tokens of its prompt are in the cells."""
        self._reset()
        self.job = job
        self.prompt = prompt
        self.cached = keep
        self.room = room
        self.started = now
        self.state = "prefill"
        if job is not None:
            self.text = TextAssembler(job.generation.stop)
            self.generated = len(job.generation.resumed)

    def finish(self, reason: FinishReason, now: float) -> Finish:
        """The end of the generation, and what it cost."""
        assert self.job is not None
        return Finish(
            reason,
            prompt_tokens=len(self.job.generation.prompt),
            cached_tokens=min(self.cached, len(self.job.generation.prompt)),
            generated_tokens=self.generated,
            queue_seconds=self.started - self.job.asked,
            prefill_seconds=self.decoding - self.started,
            decode_seconds=now - self.decoding,
            drafted_tokens=self.drafted,
            accepted_tokens=self.accepted,
            resumed_tokens=len(self.job.generation.resumed),
        )

    def release(self) -> None:
        """The generation is over; what the cells hold stays."""
        if self.sampler is not None:
            self.sampler.close()
        self._reset()
        self.job = None
        self.prompt = []
        self.state = "idle"
        self.used = time.monotonic()

    def take_piece(self) -> Piece:
        """What came since the last piece."""
        piece = Piece("".join(self.out_text), tuple(self.out_tokens), tuple(self.out_logprobs))
        self.out_text.clear()
        self.out_tokens.clear()
        self.out_logprobs.clear()
        return piece

    @property
    def left(self) -> int:
        """Rows of the prompt that are not computed."""
        return len(self.prompt) - len(self.tokens)

    def holder(self) -> Holder:
        state: Any = "busy" if self.state != "idle" else "pinned" if self.pinned else "idle"
        return Holder(self.sequence, self.tokens, state, self.used)

    def view(self, model: str) -> SlotView:
        job = self.job
        if job is None:
            return SlotView(self.sequence, "idle", model, None, 0, 0, 0)
        asked = job.generation
        return SlotView(
            self.sequence, self.state, model, asked.request_id, len(asked.prompt), self.cached, self.generated
        )
