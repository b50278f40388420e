"""Reads the two lists of a GGUF header, metadata and tensors, out of a buffer, trusting none of it.

Every length is compared with what the buffer still holds before anything is read or made, nothing is read twice, and
what is not asked for is skipped; so time and memory stay in proportion to the header whatever it claims.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cerebrum_inference.gguf.tensor_types import TENSOR_TYPES, TensorType
from cerebrum_inference.modelfile import ModelFileError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

Scalar = int | float | bool | str
Wanted = Callable[[str], bool]

# Far above any real file: a header beyond one of these is damaged or hostile.
MAX_KEYS = 4096
MAX_KEY_BYTES = 256
MAX_TEXT_BYTES = 1 << 20  # one metadata text: the longest in real files are chat templates of some 30 KB
MAX_PIECE_BYTES = 1 << 16  # one text of an array: a token or a merge
MAX_ARRAY_TEXTS = 2_000_000  # over all arrays of texts; the largest vocabularies have 260,000 tokens
MAX_ARRAY_NUMBERS = 1 << 24
MAX_KEPT_NUMBERS = 512  # as many layers as llama.cpp allows
MAX_TENSORS = 1 << 16
MAX_NAME_BYTES = 63
MAX_DIMENSIONS = 4
MAX_ELEMENTS = 1 << 48

_NUMBERS = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_TEXT, _ARRAY = 8, 9
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Array:
    """A metadata array: what it holds, how many, and the values where they were wanted and are numbers."""

    kind: int
    count: int
    values: tuple[Scalar, ...] | None = None


@dataclass(frozen=True, slots=True)
class Tensor:
    name: str
    shape: tuple[int, ...]
    type: TensorType
    offset: int
    size: int


def quoted(text: str | bytes) -> str:
    """A name out of the file as it may stand in a message: short, ASCII, one line."""
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return ascii(text if len(text) <= 80 else text[:77] + "...")


class Cursor:
    """A place in the buffer that only moves forward, and never past the end."""

    def __init__(self, data: ReadableBuffer) -> None:
        self._data = memoryview(data).cast("B")
        self._end = len(self._data)
        self._texts = 0
        self.at = 0

    @property
    def left(self) -> int:
        return self._end - self.at

    def release(self) -> None:
        """Lets go of the buffer, so that its owner can close it."""
        self._data.release()

    def take(self, count: int, what: str) -> memoryview:
        self._need(count, what)
        self.at += count
        return self._data[self.at - count : self.at]

    def u32(self, what: str) -> int:
        return int(_U32.unpack(self.take(4, what))[0])

    def u64(self, what: str) -> int:
        return int(_U64.unpack(self.take(8, what))[0])

    def text(self, most: int, what: str) -> bytes:
        length = self.u64(what)
        if length > most:
            raise ModelFileError(f"{what} claims {length} bytes; at most {most} are allowed")
        return bytes(self.take(length, what))

    def value(self, wanted: bool, key: str) -> Scalar | Array | None:
        """One metadata value; None for a text that nobody wants."""
        kind = self.u32(key)
        if kind == _ARRAY:
            return self._array(wanted, key)
        if kind == _TEXT:
            text = self.text(MAX_TEXT_BYTES, key)
            return text.decode("utf-8", "replace") if wanted else None
        number: Scalar = self._number(kind, key).unpack(self.take(_NUMBERS[kind].size, key))[0]
        return number

    def _array(self, wanted: bool, key: str) -> Array:
        kind, count = self.u32(key), self.u64(key)
        if kind == _ARRAY:
            raise ModelFileError(f"{key} is an array of arrays, which llama.cpp does not read")
        if kind == _TEXT:
            self._skip_texts(count, key)
            return Array(kind, count)
        width = self._number(kind, key).size
        if count > MAX_ARRAY_NUMBERS:
            raise ModelFileError(f"{key} claims {count} numbers; at most {MAX_ARRAY_NUMBERS} are allowed")
        data = self.take(count * width, key)
        if not wanted or count > MAX_KEPT_NUMBERS:
            return Array(kind, count)
        return Array(kind, count, tuple(one for (one,) in _NUMBERS[kind].iter_unpack(data)))

    def _skip_texts(self, count: int, key: str) -> None:
        self._texts += count
        if self._texts > MAX_ARRAY_TEXTS:
            raise ModelFileError(f"{key} claims {count} texts; at most {MAX_ARRAY_TEXTS} are allowed in all")
        self._need(count * _U64.size, key)
        unpack, data, at, last = _U64.unpack_from, self._data, self.at, self._end - _U64.size
        for number in range(count):
            if at > last:
                raise ModelFileError(f"{key} is cut off at text {number} of {count}")
            (length,) = unpack(data, at)
            if length > MAX_PIECE_BYTES:
                raise ModelFileError(f"{key}: text {number} claims {length} bytes; at most {MAX_PIECE_BYTES} allowed")
            at += 8 + length
        if at > self._end:
            raise ModelFileError(f"{key} is cut off at text {count - 1} of {count}")
        self.at = at

    @staticmethod
    def _number(kind: int, key: str) -> struct.Struct:
        found = _NUMBERS.get(kind)
        if found is None:
            raise ModelFileError(f"{key} has the unknown type {kind}")
        return found

    def _need(self, count: int, what: str) -> None:
        if count > self._end - self.at:
            raise ModelFileError(f"the file ends inside {what}: {count} bytes claimed, {self._end - self.at} left")


def read_metadata(cursor: Cursor, count: int, wanted: Wanted) -> dict[str, Scalar | Array | None]:
    """All keys; values only where `wanted` says so, or where they are numbers."""
    if not 0 < count <= MAX_KEYS:
        raise ModelFileError(f"the file claims {count} metadata keys; 1 to {MAX_KEYS} are allowed")
    found: dict[str, Scalar | Array | None] = {}
    for number in range(count):
        raw = cursor.text(MAX_KEY_BYTES, f"metadata key {number}")
        key = raw.decode("ascii", "replace")
        if not raw or not (key.isascii() and key.isprintable()):
            raise ModelFileError(f"metadata key {number} is no plain name: {quoted(raw)}")
        if key in found:
            raise ModelFileError(f"the metadata key {quoted(key)} stands twice")
        found[key] = cursor.value(wanted(key), f"metadata key {quoted(key)}")
    return found


def read_tensors(cursor: Cursor, count: int) -> list[Tensor]:
    if not 0 < count <= MAX_TENSORS:
        raise ModelFileError(f"the file claims {count} tensors; 1 to {MAX_TENSORS} are allowed")
    seen: set[bytes] = set()
    return [_read_tensor(cursor, number, seen) for number in range(count)]


def _read_tensor(cursor: Cursor, number: int, seen: set[bytes]) -> Tensor:
    raw = cursor.text(MAX_NAME_BYTES, f"the name of tensor {number}")
    name = f"tensor {quoted(raw)}"
    if not raw or not raw.isascii():
        raise ModelFileError(f"tensor {number} has no plain name: {quoted(raw)}")
    if raw in seen:
        raise ModelFileError(f"{name} stands twice")
    seen.add(raw)
    dimensions = cursor.u32(name)
    if not 0 < dimensions <= MAX_DIMENSIONS:
        raise ModelFileError(f"{name} has {dimensions} dimensions; 1 to {MAX_DIMENSIONS} are allowed")
    shape = tuple(cursor.u64(name) for _ in range(dimensions))
    number_of_type = cursor.u32(name)
    kind = TENSOR_TYPES.get(number_of_type)
    if kind is None:
        raise ModelFileError(f"{name} has the unknown type {number_of_type}")
    elements = 1
    for length in shape:
        elements *= length
        if not 0 < elements <= MAX_ELEMENTS:
            raise ModelFileError(f"{name} has the impossible shape {shape}")
    if shape[0] % kind.block:
        raise ModelFileError(f"{name} has rows of {shape[0]} values; {kind.name} needs a multiple of {kind.block}")
    return Tensor(raw.decode("ascii"), shape, kind, cursor.u64(name), elements // kind.block * kind.size)
