"""Grafana's schema of a dashboard, by the types that its own project generates from it (PyPI: grafana-foundation-sdk).

The JSON schemas themselves are in that project's repository alone. Its types leave out what they do not know and check
nothing, so both is looked for here: what was lost on the way through them, and what is not of the type that they say.
"""

from __future__ import annotations

import enum
import inspect
import json
import types
import typing
import warnings
from collections.abc import Iterator
from typing import Any

from grafana_foundation_sdk.cog import encoder, plugins

with warnings.catch_warnings():
    # It would rather see the schema's second version, which no Grafana before 12 reads.
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.models.dashboard import Dashboard


def findings(board: dict[str, Any]) -> list[str]:
    """What the schema does not know, and what it knows to be of another type."""
    plugins.register_default_plugins()
    return _through(Dashboard, board)


def _through(kind: Any, ours: Any) -> list[str]:
    read = kind.from_json(ours)
    written = json.loads(encoder.JSONEncoder(sort_keys=True).encode(read))
    return [*_lost(ours, written), *_mistyped(read)]


def _lost(ours: Any, theirs: Any, path: str = "board") -> Iterator[str]:
    """Paths at which `theirs` lacks something of `ours`."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            if value is not None:
                yield from _lost(value, theirs.get(key), f"{path}.{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from _lost(one, other, f"{path}[{index}]")
    elif ours != theirs:
        yield f"{path}: {ours!r} became {theirs!r}"


def _mistyped(what: Any, path: str = "board") -> Iterator[str]:
    """Attributes of the generated types, all the way down, whose value is not of the type that they say."""
    if isinstance(what, list | dict):
        for key, one in what.items() if isinstance(what, dict) else enumerate(what):
            yield from _mistyped(one, f"{path}[{key}]")
    elif type(what).__module__.startswith("grafana_foundation_sdk.") and not isinstance(what, enum.Enum):
        for name, hint in typing.get_type_hints(type(what), vars(inspect.getmodule(type(what)))).items():
            value = getattr(what, name)
            if not _fits(value, hint):
                yield f"{path}.{name}: {value!r} is no {hint}"
            yield from _mistyped(value, f"{path}.{name}")


def _fits(value: Any, hint: Any) -> bool:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is typing.Any or hint is object:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is list:
        return isinstance(value, list) and all(_fits(one, inner[0]) for one in value)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(one, inner[1]) for one in value.values())
    if origin is typing.Literal:
        return value in inner
    if not isinstance(hint, type):
        return True  # a variant that a plugin stands for, whose own attributes are looked at
    if hasattr(hint, "from_json") and isinstance(value, dict):  # its reader does not go into all that it knows
        return not _through(hint, value)
    if issubclass(hint, enum.Enum):
        return value in [one.value for one in hint]
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)
