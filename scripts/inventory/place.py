"""Puts an inventory where it belongs, whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from scripts.inventory.answers import Refused


def refuse_taken(target: Path) -> None:
    """Raises Refused where something is there already, whatever it is."""
    if os.path.lexists(target):
        raise Refused(f"{target} exists and is left as it is. Take another NAME, or move it away.")


def place(target: Path, files: Mapping[str, str], private: str) -> None:
    """Writes beside the target and renames, which the kernel refuses where somebody was faster.

    Args:
        private: the file that only its owner reads.

    Raises:
        Refused: it is there already, or cannot be written.
    """
    refuse_taken(target)
    try:
        beside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as exc:
        raise Refused(f"{target.parent} cannot be written to: {exc.strerror}.") from exc
    try:
        for name, text in files.items():
            path = beside / name
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
            write_new(path, text, 0o600 if name == private else 0o644)
        beside.chmod(0o755)
        refuse_taken(target)
        beside.rename(target)
    except OSError as exc:
        raise Refused(f"{target} cannot be written: {exc.strerror}.") from exc
    finally:
        shutil.rmtree(beside, ignore_errors=True)  # gone already where all went well


def write_new(path: Path, text: str, mode: int) -> None:
    """Writes a file that is not there yet, and waits until it is on disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
