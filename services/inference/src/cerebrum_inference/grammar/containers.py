"""Objects and lists. Properties come in the schema's order; any subset of the optional ones, at one rule each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from cerebrum_inference.grammar.gbnf import Grammar, json_string, literal, other_than
from cerebrum_inference.grammar.limits import MAX_PROPERTIES, SchemaError, shown
from cerebrum_inference.grammar.scalars import Repeats, repetition


class _Budget(Protocol):
    repeats: Repeats


class Values(Protocol):
    """What makes the rules of the values inside."""

    grammar: Grammar

    @property
    def budget(self) -> _Budget: ...

    def value(self, schema: Any, path: str, depth: int = 0) -> str: ...


def object_body(
    values: Values, body: Mapping[str, Any], path: str, depth: int
) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """GBNF of an object, the rules of the values inside it, and what every such object begins with.

    Without `additionalProperties`, an object that names its properties has no others.
    """
    properties = body.get("properties", {})
    if not isinstance(properties, Mapping):
        raise SchemaError(f"{path}.properties", f"is {shown(properties)}; an object is expected")
    required = body.get("required", [])
    if not isinstance(required, list) or any(not isinstance(name, str) for name in required):
        raise SchemaError(f"{path}.required", f"is {shown(required)}; a list of names is expected")
    more = body.get("additionalProperties", "properties" not in body)
    unnamed = [name for name in dict.fromkeys(required) if name not in properties]
    if unnamed and body.get("additionalProperties") is False:
        raise SchemaError(f"{path}.required", f"names {shown(unnamed[0])}, which is not among the properties")
    wanted = {**properties, **dict.fromkeys(unnamed, True if more is False else more)}
    if len(wanted) > MAX_PROPERTIES:
        raise SchemaError(f"{path}.properties", f"has {len(wanted)} entries; at most {MAX_PROPERTIES} are allowed")
    needed = set(required)
    grammar = values.grammar
    grammar.shared("ws")
    inside = {
        name: values.value(schema, f"{path}.properties.{name[:80]}", depth + 1) for name, schema in wanted.items()
    }
    rules = list(inside.values())
    # From the last property back: each rule writes its property and what may follow, or leaves it out and goes on.
    tail, must = "", False
    if more is not False:
        rules.append(values.value(more, f"{path}.additionalProperties", depth + 1))
        extra = grammar.add(f'{_other_key(grammar, list(wanted))} ":" ws {rules[-1]}')
        tail = grammar.add(f'{extra} ("," ws {extra})*')
    for name in reversed(wanted):
        follow = f'"," ws {tail}' if must else f'("," ws {tail})?'
        text = f'{literal(json_string(name, f"{path}.properties"))} ":" ws {inside[name]} {follow if tail else ""}'
        tail = grammar.add(text if name in needed or not tail else f"{text} | {tail}")
        must = must or name in needed
    first = next(iter(wanted), None)
    mark = (first, *_constant(wanted[first])) if first is not None and first in needed else ()
    inner = f"{tail} ws" if must else f"({tail} ws)?" if tail else ""
    return f'"{{" ws {inner} "}}"', tuple(rules), mark


def array_body(values: Values, body: Mapping[str, Any], path: str, depth: int) -> tuple[str, tuple[str, ...]]:
    """GBNF of a list and the rules of the values inside it. After `prefixItems` without `items` nothing follows."""
    low, high = values.budget.repeats.bounds(body, "minItems", "maxItems", path)
    prefix = body.get("prefixItems", [])
    if not isinstance(prefix, list):
        raise SchemaError(f"{path}.prefixItems", f"is {shown(prefix)}; a list is expected")
    items = body.get("items", "prefixItems" not in body)
    prefix = prefix if high is None else prefix[:high]
    grammar = values.grammar
    grammar.shared("ws")
    rules = [values.value(schema, f"{path}.prefixItems.{at}", depth + 1) for at, schema in enumerate(prefix)]
    first = list(rules)
    tail, must = "", False
    if items is not False and high != len(prefix):
        rules.append(values.value(items, f"{path}.items", depth + 1))
        following = grammar.add(f'"," ws {rules[-1]}')
        least = max(low - len(prefix), 0)
        most = None if high is None else high - len(prefix) - 1
        tail = grammar.add(f"{rules[-1]} {repetition(following, max(least - 1, 0), most)}")
        must = least > 0
    elif low > len(prefix):
        raise SchemaError(f"{path}.minItems", f"is {low}, and the list has at most {len(prefix)} entries")
    for at in range(len(first) - 1, -1, -1):
        follow = f'"," ws {tail}' if must else f'("," ws {tail})?'
        tail = grammar.add(f"{first[at]} {follow if tail else ''}")
        must = must or at < low
    inner = f"{tail} ws" if must else f"({tail} ws)?" if tail else ""
    return f'"[" ws {inner} "]"', tuple(rules)


def _constant(schema: Any) -> tuple[str, ...]:
    """The one text that a property has, where it has only one."""
    if not isinstance(schema, Mapping):
        return ()
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    return (values[0],) if isinstance(values, list) and len(values) == 1 and isinstance(values[0], str) else ()


def _other_key(grammar: Grammar, names: list[str]) -> str:
    """The rule for a key that is none of `names`: a tree of their characters, left at the first that differs."""
    char = grammar.shared("char")
    if not names:
        return grammar.shared("string")
    beginnings = {name[:size] for name in names for size in range(len(name) + 1)}
    if sum(map(len, beginnings)) > 1_000_000:
        raise SchemaError("$", "has property names that are too long beside additionalProperties")
    nodes = {beginning: grammar.reserve() for beginning in sorted(beginnings)}
    following: dict[str, list[str]] = {beginning: [] for beginning in nodes}
    for beginning in nodes:
        if beginning:
            following[beginning[:-1]].append(beginning[-1])
    whole = set(names)
    for beginning, rule in nodes.items():
        nexts = following[beginning]
        ways = [f'{other_than(nexts)} {char}* "\\""']
        # What JSON writes with a backslash cannot come here: after the names, a key begins with plain characters.
        ways += [f"{literal(one)} {nodes[beginning + one]}" for one in nexts if one >= " " and one not in '"\\']
        ways += [] if beginning in whole else ['"\\""']
        grammar.add(" | ".join(ways), rule)
    return grammar.add(f'"\\"" {nodes[""]}')
