"""The embedded default: a service that nobody configured makes its own key, for this user, on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from cerebrum_kit.errors import ConfigurationError
from cerebrum_kit.keys import digest, key_line, new_key, parse_keys, read_plain_key
from cerebrum_kit.paths import local_key_file


def ensure_local_key() -> tuple[Path, Path]:
    """Makes the local key if there is none.

    Returns:
        The file with the digest, which the service reads, and the one with the plain key, which the edge finds.
    """
    plain = local_key_file()
    digests = plain.with_name("inference-api-keys")
    try:
        plain.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not plain.exists():
            _write_private(plain, new_key())
        key = read_plain_key(plain)
        known = parse_keys(digests.read_text(encoding="utf-8")) if digests.exists() else ()
        if digest(key.encode()) not in {one.digest for one in known}:
            _write_private(digests, key_line("local", key) + "\n")
    except OSError as exc:
        raise ConfigurationError(
            f"CEREBRUM_INFERENCE_API_KEYS_FILE is not set, and no local key can be made: {exc.filename}: {exc.strerror}"
        ) from exc
    return digests, plain


def _write_private(path: Path, text: str) -> None:
    """Whole or not at all, and never readable by others, not even for a moment."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
