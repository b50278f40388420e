"""Grammars of JSON: of any object, or of what a JSON Schema allows.

Every text that such a grammar allows fits the schema. Not every fitting value can be written: properties come in the
schema's order, numbers have at most 16 digits, and between two signs stands at most one blank or newline. Nothing is
fetched, and what a schema may cost is bounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cerebrum_inference.grammar.compiler import Budget, Compiler
from cerebrum_inference.grammar.gbnf import Grammar
from cerebrum_inference.grammar.limits import SchemaError
from cerebrum_inference.grammar.shapes import Shape, check_shapes

__all__ = ["SchemaError", "grammar_for_json_object", "grammar_for_schema"]


def grammar_for_schema(schema: Mapping[str, Any] | bool) -> str:
    """GBNF with the rule `root` for the values of `schema`.

    Raises:
        SchemaError: the schema is wrong, too large, or uses what is not supported; the text names the place.
    """
    grammar, shapes = Grammar(), dict[str, Shape]()
    root = Compiler(grammar, shapes, Budget(), schema, "$").value(schema, "$")
    check_shapes(shapes)
    return grammar.text(root)


def grammar_for_json_object() -> str:
    """GBNF with the rule `root` for any JSON object."""
    grammar = Grammar()
    return grammar.text(grammar.shared("object"))
