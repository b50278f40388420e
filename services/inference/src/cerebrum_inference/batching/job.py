"""One generation on its way: asked for in the event loop, worked on by a model's thread."""

from __future__ import annotations

import asyncio
import time
from collections import deque

from cerebrum_inference.engine import Finish, Generated, Generation, Piece
from cerebrum_kit.errors import ClientTooSlow

Item = Piece | Finish | Exception
# Pieces that may wait for a reader. A stream's socket holds more before it pushes back; who is behind by this is gone.
_MOST_BUFFERED = 1024


class Job:
    """See the module; everything but the flags belongs to the event loop.

    Attributes:
        client, cost, deadline: for the queue, see `scheduling.queueing.Ticket`.
        ends: when it must have ended, running or not.
        cancelled, and too_slow where that is why: set by the event loop, honoured by the model's thread between steps.
    """

    def __init__(self, generation: Generation, *, queue_seconds: float) -> None:
        self.generation = generation
        self.asked = time.monotonic()
        self.client = generation.client
        self.cost = float(len(generation.prompt) + 4 * generation.max_tokens)
        timeout = generation.timeout_seconds
        self.ends = None if timeout is None else self.asked + timeout
        self.deadline: float = self.asked + (queue_seconds if timeout is None else min(queue_seconds, timeout))
        self.cancelled = False
        self.too_slow = False
        self.ended = asyncio.Event()
        self._items: deque[Item] = deque()
        self._reader: asyncio.Future[None] | None = None

    def push(self, item: Item) -> None:
        """Hands an item to the reader, or, where the reader is too far behind, gives the generation up."""
        if self.cancelled and not isinstance(item, Exception):
            return
        if len(self._items) >= _MOST_BUFFERED:
            self.cancelled = self.too_slow = True
            item = ClientTooSlow(
                f"The stream was given up: {_MOST_BUFFERED} pieces waited for a client that did not read them."
            )
        self._items.append(item)
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def items(self) -> Generated:
        """What was pushed, pieces that wait together in one; ends with `Finish`, or raises."""
        while True:
            while not self._items:
                self._reader = asyncio.get_running_loop().create_future()
                await self._reader
            item = self._items.popleft()
            if isinstance(item, Exception):
                raise item
            if isinstance(item, Finish):
                yield item
                return
            yield self._joined(item)

    def _joined(self, first: Piece) -> Piece:
        if not self._items or not isinstance(self._items[0], Piece):
            return first
        pieces = [first]
        while self._items and isinstance(piece := self._items[0], Piece):
            pieces.append(piece)
            self._items.popleft()
        return Piece(
            "".join(piece.text for piece in pieces),
            tuple(token for piece in pieces for token in piece.tokens),
            tuple(one for piece in pieces for one in piece.logprobs),
        )
