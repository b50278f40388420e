"""Metadata of a GGUF header as typed facts: a key that is missing, of another kind or out of range is named."""

from __future__ import annotations

import re
from collections.abc import Mapping

from cerebrum_inference.gguf.reader import Array, Scalar, quoted
from cerebrum_inference.modelfile import ModelFileError

_ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")

Metadata = Mapping[str, Scalar | Array | None]


class Facts:
    """Metadata with the checks that every use of it needs."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        found = metadata.get("general.architecture")
        if not isinstance(found, str) or not _ARCHITECTURE.fullmatch(found):
            given = "is missing" if found is None else f"is no plain name: {quoted(str(found))}"
            raise ModelFileError(f"general.architecture {given}")
        self.architecture = found

    def has(self, key: str) -> bool:
        return key in self._metadata

    def get(self, name: str) -> Scalar | Array | None:
        """The value of a key of the architecture's own."""
        return self._metadata.get(f"{self.architecture}.{name}")

    def number(self, name: str, most: int, default: int | None = None, least: int = 1) -> int:
        value = self.get(name)
        if value is None and not self.has(f"{self.architecture}.{name}") and default is not None:
            value = default
        return self._checked(name, value, least, most)

    def per_layer(
        self, name: str, layers: int, most: int, *, default: tuple[int, ...] | None = None, least: int = 1
    ) -> tuple[int, ...]:
        """One number for each layer, from an array or from one number for all; an array's layers may have none."""
        value = self.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, Array):
            return (self._checked(name, value, least, most),) * layers
        if value.values is None or len(value.values) != layers:
            raise ModelFileError(f"{self.architecture}.{name} has {value.count} values for {layers} layers")
        found = tuple(self._checked(name, one, 0, most) for one in value.values)
        if max(found) < least:
            raise ModelFileError(f"{self.architecture}.{name} is 0 in every layer")
        return found

    def array(self, key: str, kind: int) -> Array | None:
        """The array under a whole key; None where there is none."""
        if key not in self._metadata:
            return None
        value = self._metadata[key]
        if not isinstance(value, Array) or value.kind != kind:
            raise ModelFileError(f"{key} must be an array of type {kind}")
        return value

    def parts(self) -> int:
        """Files that the model is split over."""
        value = self._metadata.get("split.count", 1)
        if type(value) is not int:
            raise ModelFileError("split.count must be a whole number")
        return value

    def _checked(self, name: str, value: object, least: int, most: int) -> int:
        key = f"{self.architecture}.{name}"
        if value is None and not self.has(key):
            raise ModelFileError(f"{key} is missing")
        if type(value) is not int:
            raise ModelFileError(f"{key} must be a whole number")
        if not least <= value <= most:
            raise ModelFileError(f"{key} is {value}; {least} to {most} make sense")
        return value
