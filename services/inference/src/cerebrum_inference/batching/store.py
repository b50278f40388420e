"""Computed prefixes outside of the contexts: what was evicted, and what a model held when it was unloaded.

In memory only: it is people's text, which has no business on a disk.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from cerebrum_inference.scheduling.prefix import common_prefix


@dataclass(slots=True)
class Saved:
    """A prefix and its cells, as `Context.save` gave them."""

    model: str
    tokens: tuple[int, ...]
    data: bytes


class PrefixStore:
    """The longest unused goes first when room is short. May be used from several threads.

    Args:
        capacity: bytes that all entries together may take.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._lock = threading.Lock()
        self._entries: list[Saved] = []  # the longest unused first
        self.size = 0

    def __len__(self) -> int:
        return len(self._entries)

    def wants(self, model: str, tokens: Sequence[int]) -> bool:
        """Whether nothing that is here already begins with `tokens`."""
        with self._lock:
            return self.capacity > 0 and not any(
                one.model == model and common_prefix(one.tokens, tokens) == len(tokens) for one in self._entries
            )

    def add(self, model: str, tokens: Sequence[int], data: bytes) -> None:
        """Keeps a prefix; shorter ones that it begins with go."""
        if not data or len(data) > self.capacity:
            return
        with self._lock:
            self._entries = [
                one
                for one in self._entries
                if one.model != model or common_prefix(one.tokens, tokens) < len(one.tokens)
            ]
            self._entries.append(Saved(model, tuple(tokens), data))
            self.size = sum(len(one.data) for one in self._entries)
            while self.size > self.capacity:
                self.size -= len(self._entries.pop(0).data)

    def best(self, model: str, prompt: Sequence[int], *, more_than: int) -> tuple[int, Saved] | None:
        """The entry that has most of the prompt's beginning, and how much, if that is more than `more_than`."""
        with self._lock:
            found: tuple[int, Saved] | None = None
            for one in self._entries:
                if one.model == model and (size := common_prefix(one.tokens, prompt)) > more_than:
                    found, more_than = (size, one), size
            if found is not None:
                self._entries.remove(found[1])
                self._entries.append(found[1])
            return found

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self.size = 0
