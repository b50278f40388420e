"""The text file on disk: what it held before, and what takes its place."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from pathlib import Path

from cerebrum_cli.probe.textfile import Counts, DamagedError, Result, after, parse, render
from cerebrum_kit.errors import ConfigurationError

_MOST_BYTES = 65536


def record(path: Path, result: Result) -> str | None:
    """Replaces the file by one with this result, counted on from what it held. Its reader sees the one or the other.

    Returns:
        why the counts begin anew; None where they do not, or there was no file.

    Raises:
        ConfigurationError: it cannot be written.
    """
    counts, why = _before(path)
    text = render(after(counts, result), result, time.time())
    try:
        _replace(path, text)
    except OSError as exc:
        raise ConfigurationError(f"--textfile {path} cannot be written: {exc.strerror}") from exc
    return why


def _before(path: Path) -> tuple[Counts, str | None]:
    try:
        with path.open("rb") as file:
            return parse(file.read(_MOST_BYTES).decode()), None
    except FileNotFoundError:
        return Counts(), None
    except OSError as exc:
        return Counts(), f"{path} cannot be read ({exc.strerror}); its counts begin anew"
    except (DamagedError, UnicodeDecodeError):
        return Counts(), f"{path} is not what a probe has written; its counts begin anew"


def _replace(path: Path, text: str) -> None:
    # The collector reads *.prom: this name has another end until it is whole.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".new")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o644)  # the collector is another user
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
