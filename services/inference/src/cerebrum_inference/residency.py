"""Which models stay in memory: room for a new one, time to go, memory that others need. Decides, and does nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

FOREVER = -1.0


@dataclass(frozen=True, slots=True)
class Resident:
    """A model in memory.

    Attributes:
        size: bytes that it gives back when it goes.
        used: when it was last used.
        idle: nobody uses it now; only then may it go.
        pinned: it never goes to make room, and never for its age.
        expires: when it may go for its age; None for never.
    """

    id: str
    size: int
    used: float
    idle: bool
    pinned: bool
    expires: float | None


def make_room(needed: int, available: int, reserve: int, residents: Iterable[Resident]) -> list[str] | None:
    """The models that must go so that `needed` bytes fit and `reserve` stays free; None where that cannot be.

    The longest unused go first, and none that is in use, loading or pinned.
    """
    missing = needed + reserve - available
    victims = []
    for one in sorted(residents, key=lambda resident: resident.used):
        if missing <= 0:
            break
        if one.idle and not one.pinned:
            victims.append(one.id)
            missing -= one.size
    return victims if missing <= 0 else None


def expired(now: float, residents: Iterable[Resident]) -> list[str]:
    """The idle models whose time is over."""
    return [one.id for one in residents if one.idle and one.expires is not None and one.expires <= now]


def under_pressure(available: int, reserve: int, residents: Iterable[Resident]) -> str | None:
    """The model that should go because the machine runs short of memory, one at a time: the next look decides again.

    Half of the reserve is where it begins: what is loaded was let in with the whole of it free.
    """
    if available >= reserve / 2:
        return None
    idle = [one for one in residents if one.idle]
    return min(idle, key=lambda one: (one.pinned, one.used)).id if idle else None


def expiry(now: float, keep_alive: float | None, usual: float, *, pinned: bool) -> float | None:
    """When a model that was just used may go.

    Args:
        keep_alive: seconds that the request asked for; `FOREVER` for no end, 0 for at once, None for what is usual.
        usual: seconds of the manifest or of the settings; `FOREVER` for no end.
    """
    seconds = usual if keep_alive is None else keep_alive
    if pinned or seconds < 0:
        return None
    return now + seconds
