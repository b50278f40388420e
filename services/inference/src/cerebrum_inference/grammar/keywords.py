"""Which keywords of JSON Schema are read, and how two schemas become the one that both must hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cerebrum_inference.grammar.limits import SchemaError, shown

TYPES = ("string", "number", "integer", "boolean", "null", "object", "array")
IGNORED = frozenset(
    {
        "title",
        "description",
        "default",
        "examples",
        "example",
        "deprecated",
        "readOnly",
        "writeOnly",
        "$schema",
        "$id",
        "$comment",
        "$anchor",
        "$defs",
        "definitions",
        "contentMediaType",
        "contentEncoding",
        "discriminator",
    }
)
OF_TYPE: dict[str, frozenset[str]] = {
    "string": frozenset({"minLength", "maxLength", "format"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}),
    "integer": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}),
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems"}),
    "boolean": frozenset(),
    "null": frozenset(),
}
COMBINING = frozenset({"$ref", "allOf", "anyOf", "oneOf", "enum", "const", "type"})
READ = COMBINING.union(*OF_TYPE.values())


def constraints(schema: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The keywords of `schema` that say what is allowed.

    Raises:
        SchemaError: one of them is not supported; none is ever left out in silence.
    """
    found: dict[str, Any] = {}
    for key, value in schema.items():
        if key in READ:
            found[key] = value
        elif key in IGNORED or key.startswith("x-") or (key == "uniqueItems" and value is False):
            if key == "$id" and path != "$" and not path.endswith(".parameters"):
                raise SchemaError(f"{path}.$id", "is supported at the top only")
        else:
            raise SchemaError(f"{path}.{key[:80]}", f"is not supported; supported are {', '.join(sorted(READ))}")
    return found


def types_of(body: Mapping[str, Any], path: str) -> tuple[str, ...]:
    """The types that `type` names; without it those that the other keywords speak of, or none."""
    given = body.get("type")
    if given is None and "type" not in body:
        guessed = [name for name in TYPES if name != "integer" and OF_TYPE[name] & body.keys()]
        return tuple(guessed)
    names = given if isinstance(given, list) else [given]
    if not names or any(not isinstance(name, str) or name not in TYPES for name in names):
        raise SchemaError(f"{path}.type", f"is {shown(given)}; allowed are {', '.join(TYPES)}, or a list of these")
    if "number" in names and "integer" in names:
        names = [name for name in names if name != "integer"]
    return tuple(dict.fromkeys(names))


def merged(one: Mapping[str, Any], other: Mapping[str, Any], path: str) -> dict[str, Any]:
    """What holds for both, where that is simple to say.

    Raises:
        SchemaError: the two cannot be put together; the text names the keyword.
    """
    result = dict(one)
    both = ("properties" in one, "properties" in other)
    closed = [side for side in (one, other) if side.get("additionalProperties", True) is not True]
    if closed and all(both) and one["properties"].keys() != other["properties"].keys():
        raise SchemaError(
            f"{path}.additionalProperties", "can be put together with other properties only where it is true"
        )
    if closed and (both == (True, False) or both == (False, True)):
        holder = one if both[0] else other
        if holder.get("additionalProperties", True) is True:
            raise SchemaError(f"{path}.additionalProperties", "must stand in the schema that names the properties")
    for key, value in other.items():
        if key not in result or (result[key] == value and type(result[key]) is type(value)):
            result[key] = value
        elif key == "type":
            result[key] = _common_types(one, other, path)
        elif key == "required" and isinstance(value, list) and isinstance(result[key], list):
            result[key] = [*result[key], *(name for name in value if name not in result[key])]
        elif key == "properties" and isinstance(value, Mapping) and isinstance(result[key], Mapping):
            for name in value:
                if name in result[key] and result[key][name] != value[name]:
                    raise SchemaError(f"{path}.properties.{name[:80]}", "is given twice and differs")
            result[key] = {**result[key], **value}
        elif key == "additionalProperties" and (value is True or result[key] is True):
            result[key] = result[key] if value is True else value
        else:
            raise SchemaError(f"{path}.{key}", "is given twice and differs; put the two into one")
    return result


def _common_types(one: Mapping[str, Any], other: Mapping[str, Any], path: str) -> list[str]:
    left, right = types_of(one, path), types_of(other, path)
    common = [name for name in left if name in right or (name == "integer" and "number" in right)]
    common += [name for name in right if name == "integer" and "number" in left and "integer" not in left]
    if not common:
        raise SchemaError(f"{path}.type", "is given twice and nothing is of both types")
    return common
