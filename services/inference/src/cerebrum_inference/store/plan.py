"""Decides what a host's store needs: which rows, how much room, and what a fetched file must be. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from cerebrum_inference.manifest import ModelRow
from cerebrum_inference.store.errors import NoRoom, StoreError
from cerebrum_inference.store.progress import size_text

# What the volume shall have left over: file systems slow down when they are full, and others write too.
_SPARE_PART, _SPARE_BYTES = 0.05, 100_000_000
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A row that can be checked.

    Attributes:
        sha256: of the whole file, which is its name in the store too.
    """

    row: ModelRow
    sha256: str

    @property
    def name(self) -> str:
        return f"{self.sha256}.gguf"

    @property
    def part(self) -> str:
        return f"{self.sha256}.part"


@dataclass(frozen=True, slots=True)
class Offer:
    """What a hub says about a file before it is fetched."""

    size: int | None
    sha256: str | None
    commit: str | None


def wanted(rows: Sequence[ModelRow], ids: Iterable[str]) -> list[Wanted]:
    """The rows with these ids, in the manifest's order.

    Raises:
        StoreError: an id that no row has, or a row without a hash.
    """
    known, chosen = {row.id for row in rows}, list(ids)
    unknown = [one for one in chosen if one not in known]
    if unknown:
        raise StoreError(f"the manifest has no model {', '.join(unknown)}; it has {', '.join(sorted(known))}")
    found = []
    for row in rows:
        if row.id in chosen:
            if row.sha256 is None:
                raise StoreError(f"{row.id} has no sha256 in the manifest, and a file is known by nothing else; add it")
            found.append(Wanted(row, row.sha256))
    return found


def check_room(missing: Sequence[tuple[Wanted, int]], free: int, store: str) -> None:
    """Raises `NoRoom` unless `free` bytes hold what is missing. With each wanted row: bytes that are there already."""
    needed = sum(max(0, one.row.size_bytes - there) for one, there in missing)
    if not needed:
        return
    total = int(needed * (1 + _SPARE_PART)) + _SPARE_BYTES
    if free < total:
        names = ", ".join(f"{one.row.id} {size_text(one.row.size_bytes)}" for one, _ in missing)
        raise NoRoom(
            f"{store} has {size_text(free)} free and needs {size_text(total)} ({names}, 5 % and 100 MB to spare): "
            f"{size_text(total - free)} are missing. Free them on that volume (models that nobody lists go with "
            "models_prune: true), choose fewer or smaller models, or set models_store to a larger volume"
        )


def check_offer(one: Wanted, offer: Offer) -> None:
    """Raises `StoreError` if the hub has another file than the manifest: found before gigabytes are fetched."""
    assert one.row.source is not None
    revision = one.row.source.revision
    if offer.commit and revision and _COMMIT.fullmatch(revision) and offer.commit != revision:
        raise StoreError(
            f"{one.row.id}: the hub answers with revision {offer.commit} where {revision} was asked for; nothing was "
            "fetched. A mirror that does so is of no use: choose another models_hf_endpoint"
        )
    if offer.sha256 and _SHA256.fullmatch(offer.sha256) and offer.sha256 != one.sha256:
        raise StoreError(mismatch(one, offer.sha256, "Nothing was fetched"))
    if offer.size is not None and offer.size != one.row.size_bytes:
        raise StoreError(
            f"{one.row.id}: the hub's file {place(one)} has {offer.size} bytes; the manifest says "
            f"{one.row.size_bytes}. Nothing was fetched. {_WHICH_ONE}"
        )


_WHICH_ONE = (
    "If the manifest is right, the source serves something else: use another one (models_hf_endpoint, or the file on "
    "the controller). If the source is right, correct sha256, size_bytes and source.revision in the manifest"
)


def mismatch(one: Wanted, found: str, done: str) -> str:
    """What is said of a file that has another hash."""
    return f"{one.row.id}: {place(one)} has sha256 {found}; the manifest says {one.sha256}. {done}. {_WHICH_ONE}"


def place(one: Wanted) -> str:
    """Where a file comes from, in words."""
    source = one.row.source
    if source is None:
        return one.row.file
    return source.url or f"{source.repo}/{source.file}"


def local_path(url: str) -> str:
    """The path of a `file://` address."""
    return unquote(urlsplit(url).path)


def usable_part(size: int, there: int) -> int:
    """Bytes of a partial file that can be built upon: one that is too long is no part of this file."""
    return there if there <= size else 0
