"""The manifest's models, as somebody who chooses wants to know them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MIB, _GIB = 1024**2, 1024**3
# The defaults of role inference, which the table of models counts with.
SLOTS, CONTEXT, RESERVE_MIB = 2, 4096, 1024


@dataclass(frozen=True, slots=True)
class Model:
    """A row of the manifest. `memory` is in bytes, with the defaults of role inference."""

    id: str
    name: str
    languages: tuple[str, ...]
    memory: int

    @property
    def line(self) -> str:
        speaks = ", ".join(self.languages) or "any language, as the fallback"
        return f"{self.id:<14} {self.memory / _GIB:4.1f} GiB  {self.name} ({speaks})"


def catalogue(manifest: Mapping[str, Any]) -> tuple[Model, ...]:
    """The manifest's models with the memory that they need as deployed by default."""
    return tuple(
        Model(
            row["id"],
            row["name"],
            tuple(row["languages"]),
            row["ram_bytes"] + row["kv_bytes_per_token"] * min(row["context"], CONTEXT) * SLOTS + RESERVE_MIB * _MIB,
        )
        for row in manifest["models"]
    )
