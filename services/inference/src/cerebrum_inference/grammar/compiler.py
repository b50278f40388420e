"""From schemas to rules: what may combine (references, alternatives, enumerations) and what is of which type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cerebrum_inference.grammar.containers import array_body, object_body
from cerebrum_inference.grammar.gbnf import Grammar, json_literal
from cerebrum_inference.grammar.keywords import OF_TYPE, constraints, merged, types_of
from cerebrum_inference.grammar.limits import MAX_DEPTH, MAX_ENUM, MAX_NODES, SchemaError, check_size, shown
from cerebrum_inference.grammar.scalars import Repeats, number_body, string_body
from cerebrum_inference.grammar.shapes import Mark, Shape

_OPENS = {"string": '"', "number": "0", "integer": "0", "boolean": "tf", "null": "n", "object": "{", "array": "["}
_MARKS: dict[str, tuple[Mark, ...]] = {name: tuple((char,) for char in opens) for name, opens in _OPENS.items()}


class Budget:
    """Counts what all schemas of one request cost together."""

    def __init__(self) -> None:
        self.nodes = 0
        self.repeats = Repeats()

    def node(self, path: str, depth: int) -> None:
        self.nodes += 1
        if depth > MAX_DEPTH:
            raise SchemaError(path, f"is nested more than {MAX_DEPTH} levels deep")
        if self.nodes > MAX_NODES:
            raise SchemaError(path, f"is more than the {MAX_NODES} schemas that are allowed")


class Compiler:
    """Rules for the values of one schema document, added to `grammar`.

    Args:
        where: how errors name the document's top.
    """

    def __init__(self, grammar: Grammar, shapes: dict[str, Shape], budget: Budget, document: Any, where: str) -> None:
        check_size(document, where)
        self.grammar, self._shapes, self.budget = grammar, shapes, budget
        self._document, self._where = document, where
        self._references: dict[str, str] = {}

    def value(self, schema: Any, path: str, depth: int = 0) -> str:
        """The rule for values of `schema`."""
        self.budget.node(path, depth)
        if schema is True:
            return self._any(path)
        body = self._checked(schema, path)
        if body.keys() == {"$ref"}:
            return self._reference(body["$ref"], path, depth)
        if body.keys() == {"allOf"} and isinstance(body["allOf"], list) and len(body["allOf"]) == 1:
            return self.value(body["allOf"][0], f"{path}.allOf.0", depth + 1)
        body = self._flat(body, path, depth)
        for key in ("anyOf", "oneOf"):
            if key in body:
                return self._alternatives(body, key, path, depth)
        if "enum" in body or "const" in body:
            return self._literals(body, path)
        names = types_of(body, path)
        if not names:
            return self._any(path)
        rules = [self._typed(body, name, path, depth) for name in names]
        return rules[0] if len(rules) == 1 else self._union(rules, path)

    def note(self, rule: str, shape: Shape) -> str:
        self._shapes[rule] = shape
        return rule

    def _any(self, path: str) -> str:
        return self.note(self.grammar.shared("value"), Shape(path, marks=((),)))

    def _checked(self, schema: Any, path: str) -> dict[str, Any]:
        if not isinstance(schema, Mapping):
            what = "allows no value at all" if schema is False else f"is {shown(schema)}; a schema is an object or true"
            raise SchemaError(path, what)
        return constraints(schema, path)

    def _union(self, rules: list[str], path: str) -> str:
        distinct = tuple(dict.fromkeys(rules))
        return self.note(self.grammar.add(" | ".join(distinct)), Shape(path, alternatives=distinct))

    def _reference(self, target: Any, path: str, depth: int) -> str:
        schema = self._looked_up(target, path)
        rule = self._references.get(target)
        if rule is None:
            # The name comes first, so that the schema may refer to itself.
            rule = self._references[target] = self.grammar.reserve()
            inner = self.value(schema, self._where + target[1:].replace("/", "."), depth + 1)
            self.grammar.add(inner, rule)
            self.note(rule, Shape(path, alternatives=(inner,)))
        return rule

    def _looked_up(self, target: Any, path: str) -> Any:
        if not isinstance(target, str) or not (target == "#" or target.startswith("#/")):
            raise SchemaError(
                f"{path}.$ref", f"is {shown(target)}; only places in this schema (#/$defs/...) are allowed"
            )
        found = self._document
        for part in target.split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(found, Mapping) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isascii() and key.isdigit() and int(key[:9]) < len(found):
                found = found[int(key[:9])]
            else:
                raise SchemaError(f"{path}.$ref", f"is {shown(target)}, which is not in this schema")
        return found

    def _flat(self, body: dict[str, Any], path: str, depth: int) -> dict[str, Any]:
        """`body` with `allOf`, and a `$ref` that has keywords beside it, put into it."""
        parts: list[tuple[str, Any]] = []
        if "$ref" in body:
            parts.append((f"{path}.$ref", self._looked_up(body["$ref"], path)))
        if "allOf" in body:
            parts += [(f"{path}.allOf.{at}", part) for at, part in enumerate(_list(body["allOf"], f"{path}.allOf"))]
        flat = {key: value for key, value in body.items() if key not in {"$ref", "allOf"}}
        for where, part in parts:
            self.budget.node(where, depth + 1)
            if part is not True:
                flat = merged(flat, self._flat(self._checked(part, where), where, depth + 1), path)
        return flat

    def _alternatives(self, body: dict[str, Any], key: str, path: str, depth: int) -> str:
        rest = {name: value for name, value in body.items() if name != key}
        if not rest.keys().isdisjoint({"anyOf", "oneOf"}):
            raise SchemaError(f"{path}.{key}", "is given together with anyOf or oneOf; use one of them")
        rules = []
        for at, branch in enumerate(_list(body[key], f"{path}.{key}")):
            where = f"{path}.{key}.{at}"
            if rest and branch is not True:
                branch = merged(rest, self._flat(self._checked(branch, where), where, depth + 1), where)
            rules.append(self.value(rest if rest and branch is True else branch, where, depth + 1))
        return self._union(rules, path)

    def _literals(self, body: dict[str, Any], path: str) -> str:
        key = "const" if "const" in body else "enum"
        where = f"{path}.{key}"
        values = [body["const"]] if key == "const" else _list(body["enum"], where)
        if len(values) > MAX_ENUM:
            raise SchemaError(where, f"has {len(values)} values; at most {MAX_ENUM} are allowed")
        others = sorted(body.keys() - {key, "type"})
        if others:
            raise SchemaError(
                f"{path}.{others[0]}", f"cannot be used beside {key}; leave out the values that it forbids"
            )
        allowed = types_of(body, path)
        fitting = [value for value in values if not allowed or _is_of(value, allowed)]
        if not fitting:
            raise SchemaError(where, f"has no value of the type {' or '.join(allowed)}")
        self.grammar.shared("ws")
        texts = dict.fromkeys(json_literal(value, where) for value in fitting)
        marks = {_mark(value) for value in fitting}
        return self.note(self.grammar.add(" | ".join(texts)), Shape(path, marks=tuple(sorted(marks))))

    def _typed(self, body: dict[str, Any], name: str, path: str, depth: int) -> str:
        """The rule for values of one type: the keywords of other types say nothing about them."""
        own = {key: value for key, value in body.items() if key in OF_TYPE[name]}
        inside: tuple[str, ...] = ()
        marks = _MARKS[name]
        if name == "object":
            text, inside, mark = object_body(self, own, path, depth)
            marks = (("{", *mark),)
        elif name == "array":
            text, inside = array_body(self, own, path, depth)
        elif name == "string":
            text = string_body(self.grammar, own, path, self.budget.repeats)
        elif name in {"number", "integer"}:
            text = number_body(self.grammar, own, path, whole=name == "integer")
        else:
            text = self.grammar.shared(name)
        return self.note(self.grammar.add(text), Shape(path, contains=inside, marks=marks))


def _list(value: Any, path: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise SchemaError(path, f"is {shown(value)}; a list with at least one entry is expected")
    return value


def _is_of(value: Any, types: tuple[str, ...]) -> bool:
    own = _type_of(value)
    whole = own == "integer" or (isinstance(value, float) and value.is_integer())
    return own in types or (own == "integer" and "number" in types) or (whole and "integer" in types)


def _type_of(value: Any) -> str:
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return kinds.get(type(value), "null")


def _mark(value: Any) -> Mark:
    if isinstance(value, bool):
        return ("t" if value else "f",)
    return (_OPENS[_type_of(value)],)
