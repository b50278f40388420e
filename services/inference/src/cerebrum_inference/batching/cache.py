"""The computed prefixes of one model: in the context's cells as long as there is room, then in the store."""

from __future__ import annotations

from collections.abc import Sequence

from cerebrum_inference.batching.slot import Slot
from cerebrum_inference.batching.stats import ModelStats
from cerebrum_inference.batching.store import PrefixStore
from cerebrum_inference.llama import Context
from cerebrum_inference.scheduling import prefix


class PrefixCache:
    """Finds a slot for a prompt and fills it with what is known of it. Used by the model's thread alone.

    Args:
        key: what the store's entries of this model and this kind of context are filed under.
        idle_tokens: tokens of idle sequences that may stay in the cells. Every cell that is in use slows down every
            step a little, needed or not; from the store a prefix is back in milliseconds.
    """

    def __init__(
        self,
        key: str,
        context: Context,
        slots: Sequence[Slot],
        store: PrefixStore,
        stats: ModelStats,
        *,
        idle_tokens: int,
    ) -> None:
        self._key = key
        self._context = context
        self._slots = slots
        self._store = store
        self._stats = stats
        self._idle_tokens = idle_tokens

    def place(self, prompt: list[int]) -> tuple[Slot, int] | None:
        """A slot whose cells hold the beginning of `prompt`, and how many tokens of it; None where no slot is idle."""
        placement = prefix.place(prompt, [slot.holder() for slot in self._slots])
        if placement is None:
            return None
        target = self._slots[placement.target]
        saved = self._store.best(self._key, prompt[:-1], more_than=placement.keep + prefix.WORTH_RESTORING)
        if saved is not None:
            self.evict(target)
            if self._context.restore(target.sequence, saved[1].data):
                target.tokens = list(saved[1].tokens)
                self._stats.prompt_restored += saved[0]
                return target, self._truncated(target, saved[0])
            self._context.drop(target.sequence)
            return target, 0
        if placement.source is not None:
            source = self._slots[placement.source]
            self.evict(target)
            self._context.share(source.sequence, target.sequence, placement.keep)
            target.tokens = source.tokens[: placement.keep]
            return target, placement.keep
        if placement.keep == 0:
            self.evict(target)
            return target, 0
        return target, self._truncated(target, placement.keep)

    def evict(self, slot: Slot) -> None:
        """Empties an idle slot; what it held goes to the store."""
        self._save(slot)
        if slot.tokens:
            self._context.drop(slot.sequence)
            slot.tokens = []

    def trim(self) -> None:
        """Keeps the idle tokens below their limit, as far as the store has room for them."""
        for sequence in prefix.to_evict((slot.holder() for slot in self._slots), most_tokens=self._idle_tokens):
            if self._context.saved_size(sequence) <= self._store.capacity // 2:
                self.evict(self._slots[sequence])

    def make_room(self) -> bool:
        """Gives up the idle sequence that was not used for longest, or, when there is none, a pinned one."""
        idle = [slot for slot in self._slots if slot.state == "idle" and slot.tokens]
        if not idle:
            return False
        self.evict(min(idle, key=lambda slot: (slot.pinned, slot.used)))
        return True

    def save_all(self) -> None:
        """Before the context goes: everything worth it is in the store afterwards."""
        for slot in self._slots:
            self._save(slot)

    def forget(self) -> None:
        """After a failed step nothing in the cells can be trusted."""
        self._context.clear()
        for slot in self._slots:
            slot.tokens = []

    def _save(self, slot: Slot) -> None:
        if len(slot.tokens) >= prefix.WORTH_RESTORING and self._store.wants(self._key, slot.tokens):
            self._store.add(self._key, slot.tokens, self._context.save(slot.sequence))

    def _truncated(self, slot: Slot, keep: int) -> int:
        """Cuts a slot to its first `keep` tokens; a recurrent model can only forget all of them."""
        if len(slot.tokens) - keep >= prefix.WORTH_RESTORING:
            self._save(slot)
        if len(slot.tokens) > keep:
            if not self._context.truncate(slot.sequence, keep):
                self._context.drop(slot.sequence)
                keep = 0
            del slot.tokens[keep:]
        return keep
