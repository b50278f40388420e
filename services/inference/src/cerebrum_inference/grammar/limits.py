"""What a client's schema may cost, and the error that says which part of it is at fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MAX_DEPTH = 64  # schemas inside schemas, through $ref as well
MAX_NODES = 2000  # schemas that are looked at, each time one is
MAX_PROPERTIES = 128  # of one object: each optional one is a parallel state of llama.cpp's parser
MAX_ENUM = 500  # values of one enum, which are parallel states as well
MAX_REPEAT = 1999  # llama.cpp refuses {2000} and takes {0,2001} for "without end"
MAX_REPEAT_TOTAL = 10_000  # each repetition is a rule inside llama.cpp
MAX_TEXT = 200_000  # characters of the grammar
MAX_PATHS = 64  # readings of one text that llama.cpp may have to follow at once
MAX_UNION_LEAVES = 128  # alternatives of one anyOf, counted through anyOf and $ref
MAX_UNIONS = 200_000  # comparisons of alternatives with each other
MAX_UNIT_VISITS = 20_000  # steps of llama.cpp's search for left recursion, which forgets where it has been
MAX_TOOLS = 128
_MAX_RAW_DEPTH = 200
_MAX_RAW_VALUES = 20_000
_LONGEST_PATH = 200  # characters of a place in an error's text


class SchemaError(ValueError):
    """No grammar is made of this schema or tool. The text is for the client: where, what was given, what is allowed."""

    def __init__(self, path: str, problem: str) -> None:
        if len(path) > _LONGEST_PATH:
            path = f"{path[: _LONGEST_PATH // 2]}...{path[-_LONGEST_PATH // 2 :]}"
        super().__init__(f"{path}: {problem}")
        self.path = path


def shown(value: object) -> str:
    """A client's value in an error's text: short, whatever it is."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 128:
        return "a number of more than 38 digits"
    text = repr(value[:60] if isinstance(value, str) else value)
    return text if len(text) <= 80 else text[:77] + "..."


def check_size(schema: object, path: str) -> None:
    """Refuses what is too deep or too large before anything walks it by recursion."""
    level: list[Any] = [schema]
    seen = 0
    for _ in range(_MAX_RAW_DEPTH):
        seen += len(level)
        if seen > _MAX_RAW_VALUES:
            raise SchemaError(path, f"has more than {_MAX_RAW_VALUES} values")
        below: list[Any] = []
        for value in level:
            if isinstance(value, Mapping):
                below.extend(value.values())
            elif isinstance(value, Sequence) and not isinstance(value, str):
                below.extend(value)
            if len(below) > _MAX_RAW_VALUES:
                raise SchemaError(path, f"has more than {_MAX_RAW_VALUES} values")
        if not below:
            return
        level = below
    raise SchemaError(path, f"is nested more than {_MAX_RAW_DEPTH} levels deep")
