"""Fetches the files that the store lacks, one after the other: source, partial file, checks, final name."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cerebrum_inference.gguf.inspection import read_header_apart
from cerebrum_inference.modelfile import ModelFileError
from cerebrum_inference.store.errors import NoRoom, Several, StoreError
from cerebrum_inference.store.files import Part, Store, TooLong, digest
from cerebrum_inference.store.hub import Hub
from cerebrum_inference.store.plan import Wanted, check_offer, check_room, local_path, mismatch, usable_part
from cerebrum_inference.store.progress import Meter
from cerebrum_inference.store.report import Report

_HEADER_SECONDS = 120.0
_CHUNK = 1 << 20


def missing(store: Store, chosen: Sequence[Wanted]) -> list[tuple[Wanted, int]]:
    """What is not in place, with the bytes of it that an earlier run has left."""
    return [
        (one, usable_part(one.row.size_bytes, store.part_size(one.part)))
        for one in chosen
        if not store.has(one.name, one.row.size_bytes)
    ]


def fetch_all(store: Store, chosen: Sequence[Wanted], hub: Callable[[], Hub], report: Report) -> list[str]:
    """Fetches what is missing; every model is tried, unless the volume is full.

    Returns:
        The ids of the models that came.

    Raises:
        StoreError: something did not come. What was begun is kept, unless it cannot become the file.
    """
    came: list[str] = []
    failures: list[StoreError] = []
    with store.locked():
        needed = missing(store, chosen)
        check_room(needed, store.free(), str(store.folder))
        for one, _ in needed:
            try:
                _fetch(store, one, hub, report)
                came.append(one.row.id)
            except NoRoom as exc:
                failures.append(NoRoom(f"{one.row.id}: {exc}"))
                break
            except StoreError as exc:
                text = str(exc)
                failures.append(exc if text.startswith(f"{one.row.id}: ") else StoreError(f"{one.row.id}: {text}"))
    if failures:
        raise Several(failures) if len(failures) > 1 else failures[0]
    return came


def _fetch(store: Store, one: Wanted, hub: Callable[[], Hub], report: Report) -> None:
    source, path, size = one.row.source, store.incoming / one.part, one.row.size_bytes
    if source is None:
        raise StoreError(
            f"the manifest names no source, and the controller's models/ has no {one.row.file}: put the file there, or "
            "give the row a source"
        )
    _drop_unusable(path, size)
    meter = Meter(one.row.id, size, store.part_size(one.part), time.monotonic())

    def moved(done: int) -> None:
        now = time.monotonic()
        meter.at(done, now)
        report.running(meter.line, now)

    part = Part(path, size, moved)
    try:
        if part.done:
            report.say(f"{meter.line(time.monotonic())}: it goes on where it was")
        with report.ticking(meter.line):
            if source.url is not None:
                _copy(local_path(source.url), part, size)
            elif part.done < size:
                client = hub()
                check_offer(one, client.look(source))
                client.fetch(source, part, size)
        part.to_disk()
    except StoreError as exc:
        if isinstance(exc.__cause__, TooLong):
            path.unlink(missing_ok=True)
        raise
    finally:
        part.close()
    _check(one, path, report)
    store.place(path, one.name)
    report.say(f"{one.row.id} is in place")


def _check(one: Wanted, path: Path, report: Report) -> None:
    """The bytes on disk are the manifest's, and they are a model. A file that is not cannot become one: it goes."""
    report.say(f"{one.row.id} is checked")
    size = path.stat().st_size
    if size != one.row.size_bytes:
        raise StoreError(f"{path} has {size} bytes instead of {one.row.size_bytes}; run the play again")
    found = digest(path)
    if found != one.sha256:
        path.unlink()
        raise StoreError(mismatch(one, found, "The file is removed"))
    try:
        read_header_apart(path, timeout=_HEADER_SECONDS)
    except ModelFileError as exc:
        path.unlink()
        reason = str(exc).removeprefix(f"{path.name}: ")
        raise StoreError(
            f"the file has the manifest's sha256 and is no usable GGUF: {reason}. It is removed. Correct the row's "
            "source and sha256"
        ) from exc


def _drop_unusable(path: Path, size: int) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISREG(found.st_mode) or found.st_size > size:
        path.unlink()


def _copy(source: str, part: Part, size: int) -> None:
    """From a file on this host."""
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as exc:
        raise StoreError(
            f"{source} cannot be read ({exc.strerror}): it must be on the host itself, readable for everybody "
            "(chmod a+r), and outside of /home, /root, /run/user and /tmp, which the download does not see"
        ) from exc
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise StoreError(f"{source} is no plain file; name the model's file itself in source.url")
        if found.st_size != size:
            raise StoreError(
                f"{source} has {found.st_size} bytes; the manifest says {size}. Copy the file again, or correct the row"
            )
        os.lseek(descriptor, part.done, os.SEEK_SET)
        while data := os.read(descriptor, _CHUNK):
            part.write(data)
    except TooLong as exc:
        raise StoreError(f"{source} grew while it was copied; run the play again when it is whole") from exc
    finally:
        os.close(descriptor)
