"""Checks a model's file before llama.cpp, which trusts its input, gets to read it."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

from cerebrum_inference.manifest import ModelRow

_HEAD = struct.Struct("<4sIQQ")
_VERSIONS = (2, 3)
# Far above any real file; a header that claims more is damaged or hostile.
_MOST = 1_000_000


class ModelFileError(Exception):
    """The file is missing, is not the one in the manifest, or is no GGUF."""


def check(row: ModelRow, path: Path, *, verify_hash: bool) -> None:
    """Raises `ModelFileError` unless `path` holds what `row` promises.

    Args:
        verify_hash: also read the whole file and compare its sha256, where the manifest has one.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_HEAD.size)
            if size != row.size_bytes:
                raise ModelFileError(f"{path.name} has {size} bytes; the manifest says {row.size_bytes}")
            check_header(head, path.name)
            if verify_hash and row.sha256 is not None:
                file.seek(0)
                found = hashlib.file_digest(file, "sha256").hexdigest()
                if found != row.sha256:
                    raise ModelFileError(f"{path.name} has sha256 {found}; the manifest says {row.sha256}")
    except OSError as exc:
        raise ModelFileError(f"{path.name}: {exc.strerror}") from exc


def check_header(head: bytes, name: str) -> None:
    """Raises `ModelFileError` unless the first 24 bytes are a little-endian GGUF header with sane counts."""
    if len(head) < _HEAD.size:
        raise ModelFileError(f"{name} is too short to be a GGUF file")
    magic, version, tensors, pairs = _HEAD.unpack_from(head)
    if magic != b"GGUF":
        raise ModelFileError(f"{name} is not a GGUF file")
    if version not in _VERSIONS:
        raise ModelFileError(f"{name} is GGUF version {version}; known are {', '.join(map(str, _VERSIONS))}")
    if not 0 < tensors < _MOST or not 0 < pairs < _MOST:
        raise ModelFileError(f"{name} claims {tensors} tensors and {pairs} metadata pairs")
