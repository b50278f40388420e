"""Which backend is asked. Pure: what is known of the backends in, one of them out.

    of the backends                              goes
    tried already by this request                out
    breaker refuses, or set aside                out
    half-open, and the request is a retry        behind the closed ones: who failed once is not the one to probe
    fewest requests outstanding                  first
    tied                                         by rendezvous hashing: the highest hash of key and name

Rendezvous hashing sends one conversation to one backend, where its prefix is in the cache, and when a backend comes or
goes only the conversations that it had, or gets, move.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from cerebrum_edge.guard.aside import Aside
from cerebrum_edge.guard.breaker import Breaker

# Long enough to tell conversations under one system prompt apart, short enough that each turn of one still agrees.
_PREFIX_CHARS = 1000


@dataclass(slots=True, eq=False)
class Candidate:
    """What the edge knows of a backend.

    Attributes:
        name: unique among the candidates.
        outstanding: requests that it works on for us now; the caller counts them.
    """

    name: str
    breaker: Breaker
    aside: Aside = field(default_factory=Aside)
    outstanding: int = 0

    def retry_in(self, now: float) -> float:
        """Seconds until it may be asked; 0.0 exactly when it may be asked now."""
        return max(self.breaker.retry_in(now), self.aside.retry_in(now))


@dataclass(frozen=True, slots=True)
class Nobody:
    """No backend can be asked.

    Attributes:
        retry_in: seconds until one can be asked; 0.0 when only this request's own failures stand in the way.
    """

    retry_in: float


def affinity(prompt: str) -> bytes:
    """The key of the conversation that a prompt belongs to: the same for all that begin alike."""
    return hashlib.blake2b(prompt[:_PREFIX_CHARS].encode("utf-8", "surrogatepass"), digest_size=16).digest()


def prefix_of(model: str, key: bytes) -> str:
    """What a balancer is told, so that it sends what begins alike to one host. The text cannot be read from it."""
    return hashlib.blake2b(model.encode("utf-8", "surrogatepass") + b"\0" + key, digest_size=8).hexdigest()


def choose(
    candidates: Sequence[Candidate], *, key: bytes, now: float, tried: Collection[str] = ()
) -> Candidate | Nobody:
    """The backend to ask. Nothing is changed by it: the caller takes the attempt from its breaker, at the same `now`.

    Args:
        candidates: those that have the model.
        key: see `affinity`.
        tried: names of the backends that this request has failed on.

    Raises:
        ValueError: there are no candidates.
    """
    if not candidates:
        raise ValueError("There are no backends to choose from; give at least one candidate.")
    ready = [one for one in candidates if one.name not in tried and one.retry_in(now) == 0]
    if not ready:
        return Nobody(min(one.retry_in(now) for one in candidates))

    def rank(one: Candidate) -> tuple[bool, int, int, str]:
        unproven = bool(tried) and one.breaker.state(now) != "closed"
        return unproven, one.outstanding, -_weight(key, one.name), one.name

    return min(ready, key=rank)


def _weight(key: bytes, name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode() + b"\0" + key, digest_size=8).digest(), "big")
