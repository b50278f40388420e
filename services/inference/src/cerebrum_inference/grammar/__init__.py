"""Grammars that hold a model to JSON of a schema or to calls of tools, and the way back from its text. Pure."""

from cerebrum_inference.grammar.schema import SchemaError, grammar_for_json_object, grammar_for_schema
from cerebrum_inference.grammar.tools import (
    CallArguments,
    CallStart,
    TextDelta,
    Tool,
    ToolCallParser,
    grammar_for_tools,
    tools_prompt,
)

__all__ = [
    "CallArguments",
    "CallStart",
    "SchemaError",
    "TextDelta",
    "Tool",
    "ToolCallParser",
    "grammar_for_json_object",
    "grammar_for_schema",
    "grammar_for_tools",
    "tools_prompt",
]
