"""Texts and numbers: lengths, formats and bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from cerebrum_inference.grammar.gbnf import Grammar
from cerebrum_inference.grammar.limits import MAX_REPEAT, MAX_REPEAT_TOTAL, SchemaError, shown
from cerebrum_inference.grammar.ranges import MOST, integers

_DATE = (
    '[0-9]{4} "-" (("01" | "03" | "05" | "07" | "08" | "10" | "12") "-" ("0" [1-9] | [12] [0-9] | "3" [01])'
    ' | ("04" | "06" | "09" | "11") "-" ("0" [1-9] | [12] [0-9] | "30") | "02-" ("0" [1-9] | "1" [0-9] | "2" [0-8]))'
)
_TIME = (
    '([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9] ":" [0-5] [0-9] ("." [0-9]{1,6})?'
    ' ("Z" | [-+] ([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9])'
)
_UUID = '[0-9a-fA-F]{8} "-" [0-9a-fA-F]{4} "-" [0-9a-fA-F]{4} "-" [0-9a-fA-F]{4} "-" [0-9a-fA-F]{12}'
FORMATS = {"date": _DATE, "time": _TIME, "date-time": f'{_DATE} "T" {_TIME}', "uuid": _UUID}


class Repeats:
    """The repetitions of one request, which cost llama.cpp a rule each."""

    def __init__(self) -> None:
        self._total = 0

    def bounds(self, body: Mapping[str, Any], low_key: str, high_key: str, path: str) -> tuple[int, int | None]:
        """The two counts under their keywords; None for no end."""
        low = self._count(body, low_key, path) or 0
        high = self._count(body, high_key, path)
        if high is not None and high < low:
            raise SchemaError(f"{path}.{high_key}", f"is {high}, which is less than {low_key} ({low})")
        self._total += low if high is None else high
        if self._total > MAX_REPEAT_TOTAL:
            key = low_key if high is None else high_key
            raise SchemaError(f"{path}.{key}", f"takes all lengths and counts together above {MAX_REPEAT_TOTAL}")
        return low, high

    def _count(self, body: Mapping[str, Any], key: str, path: str) -> int | None:
        if key not in body:
            return None
        value = body[key]
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_REPEAT:
            raise SchemaError(f"{path}.{key}", f"is {shown(value)}; a whole number from 0 to {MAX_REPEAT} is allowed")
        return value


def repetition(item: str, low: int, high: int | None) -> str:
    """GBNF of `low` to `high` times a rule."""
    if high == 0:
        return ""
    return f"{item}{{{low},{'' if high is None else high}}}"


def string_body(grammar: Grammar, body: Mapping[str, Any], path: str, repeats: Repeats) -> str:
    low, high = repeats.bounds(body, "minLength", "maxLength", path)
    if "format" in body:
        name = body["format"]
        if not isinstance(name, str) or name not in FORMATS:
            raise SchemaError(f"{path}.format", f"is {shown(name)}; supported are {', '.join(FORMATS)}")
        if low or high is not None:
            raise SchemaError(f"{path}.format", "cannot be used beside minLength and maxLength")
        return f'"\\"" {FORMATS[name]} "\\""'
    if not low and high is None:
        return grammar.shared("string")
    return f'"\\"" {repetition(grammar.shared("char"), low, high)} "\\""'


def number_body(grammar: Grammar, body: Mapping[str, Any], path: str, *, whole: bool) -> str:
    for key, value in body.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise SchemaError(f"{path}.{key}", f"is {shown(value)}; a number is expected")
    if not whole:
        if body.keys() - {"minimum"} or body.get("minimum", 0) != 0:
            key = min(body.keys() - {"minimum"}, default="minimum")
            raise SchemaError(f"{path}.{key}", "is not supported for numbers, except minimum 0; use it with integer")
        return grammar.shared("number-positive" if body else "number")
    low = [math.ceil(body["minimum"])] if "minimum" in body else []
    low += [math.floor(body["exclusiveMinimum"]) + 1] if "exclusiveMinimum" in body else []
    high = [math.floor(body["maximum"])] if "maximum" in body else []
    high += [math.ceil(body["exclusiveMaximum"]) - 1] if "exclusiveMaximum" in body else []
    found = integers(max(low, default=None), min(high, default=None))
    if found is None:
        raise SchemaError(f"{path}.{min(body)}", f"leaves no whole number between -{MOST} and {MOST}")
    return found
