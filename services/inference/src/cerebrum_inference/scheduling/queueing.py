"""Who is next: a bounded queue that gives every client the same share, whatever it has queued."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar


class Ticket(Protocol):
    """What waits.

    Attributes:
        client: whose it is.
        cost: how much work it is, in any unit; a client's share is counted in it.
        deadline: the moment after which it is not worth starting; None for never.
    """

    @property
    def client(self) -> str: ...

    @property
    def cost(self) -> float: ...

    @property
    def deadline(self) -> float | None: ...


T = TypeVar("T", bound=Ticket)


class FairQueue(Generic[T]):
    """Start-time fair queueing: the client that has had the least goes first, and in its own row the oldest.

    A client that comes back after a pause starts level with the others, with no credit from its absence.
    """

    def __init__(self) -> None:
        self._rows: dict[str, deque[T]] = {}
        self._served: dict[str, float] = {}
        self._level = 0.0
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[T]:
        for row in self._rows.values():
            yield from row

    def offer(self, ticket: T, capacity: int) -> T | None:
        """Queues a ticket; returns the one that has no place, which may be the offered one or another client's.

        A full queue gives up the newest ticket of the client that has most of it, when the newcomer's has less.

        Args:
            capacity: tickets that may wait now.
        """
        refused: T | None = None
        if self._size >= capacity:
            longest = max(self._rows.values(), key=len, default=None)
            if longest is None or len(longest) <= len(self._rows.get(ticket.client, ())) + 1:
                return ticket
            refused = longest[-1]
            self.remove(refused)
        self._rows.setdefault(ticket.client, deque()).append(ticket)
        self._served[ticket.client] = max(self._served.get(ticket.client, 0.0), self._level)
        self._size += 1
        return refused

    def take(self) -> T | None:
        """The next ticket, or None."""
        if not self._rows:
            return None
        client = min(self._rows, key=lambda name: self._served[name])
        self._level = self._served[client]
        ticket = self._rows[client][0]
        self._served[client] += ticket.cost
        self.remove(ticket)
        return ticket

    def remove(self, ticket: T) -> bool:
        """Takes a ticket out, wherever it stands; False where it is not there."""
        row = self._rows.get(ticket.client)
        if row is None or ticket not in row:
            return False
        row.remove(ticket)
        self._size -= 1
        if not row:
            del self._rows[ticket.client]
            # Whoever is at or below the level has no debt to remember.
            self._served = {name: had for name, had in self._served.items() if name in self._rows or had > self._level}
        return True

    def expired(self, now: float) -> list[T]:
        """Takes out every ticket whose deadline has passed."""
        late = [ticket for ticket in self if ticket.deadline is not None and ticket.deadline <= now]
        for ticket in late:
            self.remove(ticket)
        return late
