"""The store on disk: its lock, its room, files on their way, and how one gets its final name."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from cerebrum_inference.store.errors import Busy, NoRoom, StoreError

INCOMING = "incoming"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_CHUNK = 1 << 20


class TooLong(Exception):
    """A source sends more than the file has: it would fill the volume."""


class Store:
    """A folder of models, and `incoming/` for what is not whole yet, on the same volume."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.incoming = folder / INCOMING

    def make(self) -> None:
        try:
            self.incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as exc:
            raise StoreError(f"{self.incoming} cannot be made: {exc.strerror}; run the play, or use --store") from exc

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else changes the store meanwhile. The folder itself is locked: no file stays behind."""
        descriptor = os.open(self.incoming, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            os.close(descriptor)
            raise Busy(f"another cerebrum-models works on {self.folder}; run this again when it is done") from exc
        try:
            yield
        finally:
            os.close(descriptor)

    def free(self) -> int:
        """Bytes that may be written to the volume."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def has(self, name: str, size: int) -> bool:
        """Whether a file is in place. It comes there whole, so one of the right size is the right one."""
        try:
            found = (self.folder / name).lstat()
        except FileNotFoundError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size == size

    def part_size(self, name: str) -> int:
        try:
            return (self.incoming / name).lstat().st_size
        except FileNotFoundError:
            return 0

    def place(self, part: Path, name: str) -> None:
        """Gives a whole, checked file its final name; after a power cut it is there as a whole, or not at all."""
        part.chmod(0o644)
        part.rename(self.folder / name)
        for folder in (self.folder, self.incoming):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def present(self) -> dict[str, int]:
        """Sizes of the plain files in the store and in `incoming/`, by name."""
        found: dict[str, int] = {}
        for folder in (self.folder, self.incoming):
            with contextlib.suppress(FileNotFoundError):
                found |= {
                    path.name: path.lstat().st_size for path in folder.iterdir() if stat.S_ISREG(path.lstat().st_mode)
                }
        return found

    def remove(self, name: str) -> None:
        folder = self.incoming if name.endswith(".part") else self.folder
        (folder / name).unlink()


class Part:
    """A file on its way. What is in it survives this process, and the next one goes on behind it.

    Has what `huggingface_hub.file_download.http_get` needs of a file.

    Args:
        size: that it shall have in the end; more is refused.
        moved: is told how many bytes the file has, after each change.
    """

    def __init__(self, path: Path, size: int, moved: Callable[[int], None]) -> None:
        self.path, self._size, self._moved = path, size, moved
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.open(path, flags, 0o600)
        self.done = os.lseek(self._file, 0, os.SEEK_END)

    def write(self, data: bytes) -> int:
        if self.done + len(data) > self._size:
            raise TooLong
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._file, view) :]
            except OSError as exc:
                raise _full(exc, self.path) if exc.errno in _FULL else exc from exc
        self.done += len(data)
        self._moved(self.done)
        return len(data)

    def seek(self, position: int) -> int:
        self.done = os.lseek(self._file, position, os.SEEK_SET)
        return self.done

    def tell(self) -> int:
        return self.done

    def truncate(self) -> int:
        os.ftruncate(self._file, self.done)
        self._moved(self.done)
        return self.done

    def flush(self) -> None:
        """Nothing is held back here."""

    def to_disk(self) -> None:
        try:
            os.fsync(self._file)
        except OSError as exc:
            raise _full(exc, self.path) if exc.errno in _FULL else exc from exc

    def close(self) -> None:
        os.close(self._file)


def digest(path: Path, moved: Callable[[int], None] = lambda _: None) -> str:
    """The sha256 of what is on disk now."""
    found, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        while data := file.read(_CHUNK):
            found.update(data)
            done += len(data)
            moved(done)
    return found.hexdigest()


def write_whole(path: Path, text: str) -> None:
    """Replaces a small file so that a reader sees the old or the new one."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


def _full(exc: OSError, path: Path) -> NoRoom:
    return NoRoom(
        f"the volume of {path.parent.parent} is full ({exc.strerror}): something else has taken the room since it was "
        f"checked. What was fetched stays in {path} and is continued: make room, then run the play again"
    )
