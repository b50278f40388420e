"""Whether a model's file may be loaded: what the manifest says of it, and what a trial in a confined process says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cerebrum_inference.gguf.header import Header
from cerebrum_inference.manifest import ModelRow
from cerebrum_inference.modelfile import ModelFileError, check

Stamp = tuple[int, int, int]


class Verifier:
    """Checks each file once, and again when it was touched: hashing 4 GB takes seconds. For threads, one at a time.

    A file that was refused is refused again without being read, as long as nobody touched it.

    Args:
        inspect: looks into a file in a process of its own and returns its header.
    """

    def __init__(self, inspect: Callable[[Path], Header]) -> None:
        self._inspect = inspect
        self._passed: dict[str, tuple[Stamp, Header]] = {}
        self._refused: dict[str, tuple[Stamp, str]] = {}

    def verify(self, row: ModelRow, path: Path) -> Header:
        """The header of the model's file.

        Raises:
            ModelFileError: it is gone, or is not what the manifest says, or llama.cpp would not live with it.
        """
        stamp = _stamp(path)
        known, refused = self._passed.get(row.id), self._refused.get(row.id)
        if known is not None and known[0] == stamp:
            return known[1]
        if refused is not None and refused[0] == stamp:
            raise ModelFileError(refused[1])
        try:
            check(row, path)
            header = self._inspect(path)
        except ModelFileError as exc:
            self._refused[row.id] = (stamp, str(exc))
            raise
        self._passed[row.id] = (stamp, header)
        return header


def _stamp(path: Path) -> Stamp:
    try:
        stat = path.stat()
    except OSError as exc:
        raise ModelFileError(f"{path.name}: {exc.strerror}") from exc
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
