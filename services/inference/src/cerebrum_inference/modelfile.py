"""Checks a model's file before llama.cpp, which trusts its input, gets to read it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cerebrum_inference.manifest import ModelRow


class ModelFileError(Exception):
    """The file is missing, is not the one in the manifest, or is no GGUF."""


def check(row: ModelRow, path: Path) -> None:
    """Raises `ModelFileError` unless `path` has the size, and the sha256 where there is one, that `row` promises."""
    try:
        size = path.stat().st_size
        if size != row.size_bytes:
            raise ModelFileError(f"{path.name} has {size} bytes; the manifest says {row.size_bytes}")
        if row.sha256 is None:
            return
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise ModelFileError(f"{path.name}: {exc.strerror}") from exc
    if found != row.sha256:
        raise ModelFileError(f"{path.name} has sha256 {found}; the manifest says {row.sha256}")
