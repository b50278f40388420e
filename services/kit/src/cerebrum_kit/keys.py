"""API keys: made as 256 random bits, stored as SHA-256 digests only, checked in constant time.

A key file has a line a key, `id sha256hex created`, so that several keys can be valid at once and each use is known
by its id. Digests are no secret: the file may be read by the service at any time, which is what lets a key be added
or dropped without a restart.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cerebrum_kit.errors import ConfigurationError
from cerebrum_kit.logs import get_logger

log = get_logger(__name__)
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_CREATED = "%Y-%m-%dT%H:%M:%SZ"


class KeyFileError(ConfigurationError):
    """A key file cannot be used; the message names the file, the line and what is expected."""


@dataclass(frozen=True, slots=True)
class Key:
    id: str
    digest: bytes
    created: str


def new_key() -> str:
    """A new plain key: 256 bits, safe in a URL or a shell."""
    return secrets.token_urlsafe(32)


def digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def key_line(key_id: str, key: str, *, now: datetime | None = None) -> str:
    """The line of the key file that admits `key`."""
    created = (now or datetime.now(UTC)).strftime(_CREATED)
    return f"{key_id} {digest(key.encode()).hex()} {created}"


def parse_keys(text: str, *, source: str = "key file") -> tuple[Key, ...]:
    """Reads a key file's text; blank lines and `#` comments are passed over.

    Raises:
        KeyFileError: a line has another form, or an id or a digest stands twice.
    """
    keys: list[Key] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 3 or not _ID.fullmatch(words[0]) or not _DIGEST.fullmatch(words[1]):
            raise KeyFileError(f"{source}, line {number}: expected `id sha256hex created`")
        keys.append(Key(words[0], bytes.fromhex(words[1]), words[2]))
    if len({key.id for key in keys}) != len(keys) or len({key.digest for key in keys}) != len(keys):
        raise KeyFileError(f"{source}: a key id or a digest stands twice")
    return tuple(keys)


def created_at(key: Key) -> float | None:
    """Unix time at which a key was made; None where its line does not tell."""
    try:
        return datetime.strptime(key.created, _CREATED).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


class KeyRing:
    """The keys that are valid now.

    Args:
        path: a key file that is read again when it changes; a broken new version keeps the last good one.
        extra: keys that do not come from the file (a deprecated plain key from the environment).
    """

    def __init__(self, path: Path | None = None, *, extra: tuple[Key, ...] = ()) -> None:
        self._path = path
        self._extra = extra
        self._stamp: tuple[int, int, int] | None = None
        self._keys: tuple[Key, ...] = extra
        self.problem: str | None = None
        if path is not None:
            self._read()
            if self.problem:
                raise KeyFileError(self.problem)

    def check(self, presented: bytes) -> str | None:
        """The id of the key that was presented, or None.

        Every digest is compared, over bytes and in constant time, so that neither the position nor the prefix of a
        key can be told from the time, and a key that is not ASCII is merely wrong.
        """
        self._refresh()
        wanted, found = digest(presented), None
        for key in self._keys:
            if hmac.compare_digest(wanted, key.digest):
                found = key.id
        return found

    @property
    def keys(self) -> tuple[Key, ...]:
        """Those that were valid when a key was presented last."""
        return self._keys

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(key.id for key in self._keys)

    def _refresh(self) -> None:
        if self._path is None:
            return
        try:
            stat = self._path.stat()
        except OSError as exc:
            self._keep_last_good(f"{self._path}: {exc.strerror}")
            return
        if (stat.st_mtime_ns, stat.st_size, stat.st_ino) != self._stamp:
            self._read()

    def _read(self) -> None:
        assert self._path is not None
        try:
            stat = self._path.stat()
            keys = parse_keys(self._path.read_text(encoding="utf-8"), source=str(self._path))
        except OSError as exc:
            self._keep_last_good(f"{self._path}: {exc.strerror}")
        except UnicodeDecodeError:
            self._keep_last_good(f"{self._path}: not a text file")
        except KeyFileError as exc:
            self._keep_last_good(str(exc))
        else:
            self._stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            self._keys, self.problem = (*keys, *self._extra), None

    def _keep_last_good(self, problem: str) -> None:
        if problem != self.problem:
            log.warning("key file cannot be used; the keys before stay valid", reason=problem)
        self.problem = problem


class PlainKey:
    """A client's key in a file, which is read again when it changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._key = ""

    def read(self) -> str:
        """The key. Raises KeyFileError as `read_plain_key` does."""
        try:
            stat = self._path.stat()
        except OSError as exc:
            raise KeyFileError(f"{self._path}: {exc.strerror}") from exc
        stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if stamp != self._stamp:
            self._key, self._stamp = read_plain_key(self._path), stamp
        return self._key


def read_plain_key(path: Path) -> str:
    """Reads a client's key; the newline that editors and pasting add is not part of it.

    Raises:
        KeyFileError: no file, no text, or more than one word in it.
    """
    try:
        words = path.read_text(encoding="utf-8").split()
    except OSError as exc:
        raise KeyFileError(f"{path}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise KeyFileError(f"{path}: not a text file") from exc
    # What no header can hold would be named, key and all, by the error of whoever sends it.
    if len(words) != 1 or not (words[0].isascii() and words[0].isprintable()):
        raise KeyFileError(f"{path}: expected one key on one line, printable ASCII")
    return words[0]
