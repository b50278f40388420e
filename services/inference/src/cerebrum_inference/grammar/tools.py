"""Calls of tools: the grammar that a model answers in, the text that tells it so, and the way back from its text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cerebrum_inference.grammar.calls import CLOSE, OPEN, CallArguments, CallStart, TextDelta, ToolCallParser
from cerebrum_inference.grammar.compiler import Budget, Compiler
from cerebrum_inference.grammar.gbnf import Grammar, literal, other_character
from cerebrum_inference.grammar.limits import MAX_TOOLS, SchemaError, shown
from cerebrum_inference.grammar.shapes import Shape, check_shapes

__all__ = ["CallArguments", "CallStart", "TextDelta", "Tool", "ToolCallParser", "grammar_for_tools", "tools_prompt"]
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NO_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call.

    Args:
        parameters: JSON Schema of its arguments, an object; None for a function without any.
    """

    name: str
    parameters: Mapping[str, Any] | None
    description: str = ""


def grammar_for_tools(tools: Sequence[Tool], *, choice: Literal["auto", "required"] | str) -> str:
    """GBNF of an answer with these tools.

    Args:
        choice: "required" for one call and nothing else, a tool's name for a call of that one, "auto" for text in
            which no call begins, a call, or such text with one call at its end.

    Raises:
        SchemaError: a tool cannot be used, or `choice` names none of them.
    """
    if not tools or len(tools) > MAX_TOOLS:
        raise SchemaError("tools", f"has {len(tools)} entries; 1 to {MAX_TOOLS} are allowed")
    _check_names(tools)
    grammar, shapes, budget = Grammar(), dict[str, Shape](), Budget()
    calls = []
    for at, tool in enumerate(tools):
        if choice in {"auto", "required", tool.name}:
            where = f"tools.{at}.function.parameters"
            schema = _arguments_schema(tool, where)
            rule = Compiler(grammar, shapes, budget, schema, where).value(schema, where)
            calls.append(f"{literal(_head(tool.name))} {rule}")
    if not calls:
        names = ", ".join(tool.name for tool in tools[:20])
        raise SchemaError("tool_choice", f"is {shown(choice)}; allowed are auto, required and the tools: {names}")
    check_shapes(shapes)
    chosen = grammar.add(" | ".join(calls))
    call = grammar.add(f"{chosen} {literal(CLOSE)}")
    whole = grammar.add(f"{literal(OPEN)} {call}")
    return grammar.text(_text_or(grammar, call) if choice == "auto" else whole)


def tools_prompt(tools: Iterable[Tool]) -> str:
    """What the system message says about the tools, for a model whose chat template knows none."""
    functions = "\n".join(
        json.dumps(
            {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters or _NO_PARAMETERS)},
            ensure_ascii=False,
        )
        for tool in tools
    )
    return (
        "You can call functions. These are the functions, one JSON object per line, with the JSON Schema of their "
        f"arguments:\n{functions}\n\n"
        "To call a function, end your answer with exactly this and write nothing behind it:\n"
        f"{OPEN}{_head('<name of the function>')}<arguments as a JSON object>{CLOSE}\n"
        "If no function is needed, answer in plain text."
    )


def _check_names(tools: Sequence[Tool]) -> None:
    seen: set[str] = set()
    for at, tool in enumerate(tools):
        where = f"tools.{at}.function.name"
        if not _NAME.fullmatch(tool.name):
            raise SchemaError(where, f"is {shown(tool.name)}; 1 to 64 letters, digits, _ and - are allowed")
        if tool.name in seen or tool.name in {"auto", "required", "none"}:
            raise SchemaError(where, f"is {shown(tool.name)}, which is taken; every tool needs a name of its own")
        seen.add(tool.name)


def _arguments_schema(tool: Tool, where: str) -> Mapping[str, Any]:
    if tool.parameters is None:
        return _NO_PARAMETERS
    if not isinstance(tool.parameters, Mapping):
        raise SchemaError(where, f"is {shown(tool.parameters)}; an object is expected")
    if tool.parameters.get("type", "object") != "object":
        raise SchemaError(f"{where}.type", f"is {shown(tool.parameters['type'])}; it must be 'object'")
    return {**tool.parameters, "type": "object"}


def _head(name: str) -> str:
    return f'{{"name": "{name}", "arguments": '


def _text_or(grammar: Grammar, call: str) -> str:
    """Text that may end with a call. The rule after n characters of the call's opening: only the whole of it leads on.

    The opening has its first character nowhere else, so that a character that does not fit begins again from nothing.
    """
    steps = [grammar.reserve() for _ in OPEN]
    first = literal(OPEN[0])
    for at, char in enumerate(OPEN):
        onward = f"{literal(char)} {steps[at + 1] if at + 1 < len(OPEN) else call}"
        if at == 0:
            ways = ["", onward, f"{other_character(OPEN[0])} {steps[0]}"]
        else:
            stay = f"{other_character(OPEN[0] + char)} {steps[0]}"
            ways = ["", onward, f"{first} {steps[1]}", stay]
        grammar.add(" | ".join(ways), steps[at])
    return steps[0]
