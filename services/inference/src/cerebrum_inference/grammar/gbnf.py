"""GBNF text: escaping, the rules of a grammar under one size limit, and the rules that every JSON grammar shares."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from cerebrum_inference.grammar.limits import MAX_DEPTH, MAX_TEXT, SchemaError

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _-.,:;/<>{}()[]'!?=+*#@&%$|~^")
_DIGITS = '("0" | [1-9] [0-9]{0,15})'
# Numbers have an end, so that a model cannot write digits for ever, and stay finite as floats.
_NUMBER = f'{_DIGITS} ("." [0-9]{{1,16}})? ([eE] [-+]? [0-9]{{1,2}})?'
# One character of a string, however it is written: a pair of surrogates counts once and a lone one is not written.
_SHARED: dict[str, tuple[str, tuple[str, ...]]] = {
    "ws": ("| [ \\n]", ()),
    "hex": ("[0-9a-fA-F]", ()),
    "escape": (
        r'["\\/bfnrt] | "u" [0-9a-cA-CefEF] hex hex hex | "u" [dD] [0-7] hex hex'
        r' | "u" [dD] [89abAB] hex hex "\\u" [dD] [c-fC-F] hex hex',
        ("hex",),
    ),
    "char": (r'[ !#-\[\]-\uD7FF\uE000-\U0010FFFF] | "\\" escape', ("escape",)),
    "string": (r'"\"" char* "\""', ("char",)),
    "number": (f'"-"? {_NUMBER}', ()),
    "number-positive": (_NUMBER, ()),
    "boolean": ('"true" | "false"', ()),
    "null": ('"null"', ()),
    "member": ('string ":" ws value', ("string", "ws", "value")),
    "object": ('"{" ws (member ("," ws member)* ws)? "}"', ("member", "ws")),
    "array": ('"[" ws (value ("," ws value)* ws)? "]"', ("value", "ws")),
    "value": (
        "object | array | string | number | boolean | null",
        ("object", "array", "string", "number", "boolean", "null"),
    ),
}


def literal(text: str) -> str:
    """`text` as a GBNF literal: exactly these characters."""
    return '"' + "".join(char if char in _PLAIN else _escaped(char) for char in text) + '"'


def other_than(chars: Iterable[str]) -> str:
    """Any character that stands in a JSON string as itself, without `chars`."""
    return r'[^"\\\x00-\x1f' + "".join(_escaped(char) for char in sorted(set(chars))) + "]"


def other_character(chars: str) -> str:
    """Any character of plain text without `chars`."""
    return r"[^\x00" + "".join(_escaped(char) for char in chars) + "]"


def json_string(text: str, path: str) -> str:
    """`text` as JSON writes it; its characters are themselves where JSON allows that."""
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise SchemaError(path, "has half of a surrogate pair; text must be Unicode")
    return json.dumps(text, ensure_ascii=False)


def json_literal(value: Any, path: str, depth: int = 0) -> str:
    """GBNF of one JSON value, with the white space that every JSON of these grammars may have."""
    if depth > MAX_DEPTH:
        raise SchemaError(path, f"is nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, dict):
        members = [
            f'{literal(json_string(key, path))} ":" ws {json_literal(item, path, depth + 1)}'
            for key, item in value.items()
        ]
        return _listed("{", members, "}")
    if isinstance(value, list):
        return _listed("[", [json_literal(item, path, depth + 1) for item in value], "]")
    if isinstance(value, str):
        return literal(json_string(value, path))
    try:
        return literal(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as exc:
        raise SchemaError(
            path, "is no JSON value: a finite number, text, true, false, null, a list or an object"
        ) from exc


class Grammar:
    """Rules by name, in the order in which they came."""

    def __init__(self) -> None:
        self._rules: dict[str, str] = {}
        self._size = 0
        self._count = 0

    def reserve(self) -> str:
        """A new name, for a rule that may be referred to before it is known."""
        self._count += 1
        return f"r{self._count}"

    def add(self, body: str, name: str | None = None) -> str:
        """Adds a rule and returns its name.

        Raises:
            SchemaError: the grammar has become too long.
        """
        name = name or self.reserve()
        self._rules[name] = body
        self._size += len(name) + len(body) + 6
        if self._size > MAX_TEXT:
            raise SchemaError("$", f"makes a grammar of more than {MAX_TEXT} characters; use a smaller schema")
        return name

    def shared(self, name: str) -> str:
        """The name of a shared rule, which is added with what it needs."""
        todo = [name]
        while todo:
            at = todo.pop()
            if at not in self._rules:
                body, needs = _SHARED[at]
                self.add(body, at)
                todo.extend(needs)
        return name

    def text(self, root: str) -> str:
        return "".join(f"{name} ::= {body}\n" for name, body in [("root", root), *self._rules.items()])


def _listed(opening: str, items: list[str], closing: str) -> str:
    inner = ' "," ws '.join(items)
    return f'"{opening}" ws {inner} ws "{closing}"' if items else f'"{opening}" ws "{closing}"'


def _escaped(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
