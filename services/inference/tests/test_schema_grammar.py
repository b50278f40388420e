"""Grammars of schemas, judged by llama.cpp: what fits is taken, what does not is not, and no schema blows up."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cerebrum_inference.grammar import SchemaError, grammar_for_json_object, grammar_for_schema
from cerebrum_inference.grammar.ranges import MOST, integers
from support.grammars import accepts, is_grammar

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "tags": {"type": "array"}},
    "required": ["age"],
    "additionalProperties": False,
}
TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"v": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
            "required": ["v", "next"],
        }
    },
}
# An expression: two objects that hold each other, told apart by their first property.
EXPRESSION = {
    "anyOf": [
        {
            "type": "object",
            "properties": {"op": {"const": op}, "left": {"$ref": "#"}, "right": {"$ref": "#"}},
            "required": ["op", "left", "right"],
        }
        for op in ("add", "mul")
    ]
    + [{"type": "integer"}]
}

CASES: list[tuple[Any, list[str], list[str]]] = [
    (True, ["1", "[]", '{"a": null}', '"x"', "-0.5e+10"], ["", "nul", "[1,]", "01", "{1:2}", "\n1", "1 "]),
    ({}, ['{"a": [true, false]}'], ["tru"]),
    (
        {"type": "string"},
        ['""', '"a\\n\\u00e9"', '"\u00e9\U0001f600"', '"\\ud83d\\ude00"', '"\x7f"'],
        ['"', '"\\ud83d"', '"\n"', '"\\x"', "1"],
    ),
    ({"type": "number"}, ["0", "-1.5", "1e10", "0.25"], ["1.", ".5", "+1", "00", "1e", "1e100", "9" * 17]),
    ({"type": "number", "minimum": 0}, ["0", "1.5"], ["-1", "-0"]),
    ({"type": "integer"}, ["0", "-12", "9" * 16], ["1.0", "-", "007", "9" * 17]),
    ({"type": "integer", "minimum": -17, "maximum": 1234}, ["-17", "0", "1234", "999"], ["-18", "1235", "-0", "012"]),
    ({"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 10.5}, ["1", "10"], ["0", "11"]),
    ({"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}, ["0", "-" + "9" * 16], ["9" * 17]),
    ({"type": "boolean"}, ["true", "false"], ["True", "null"]),
    ({"type": "null"}, ["null"], ["0"]),
    ({"type": ["string", "null"], "maxLength": 1}, ["null", '"a"'], ['"ab"', "1"]),
    ({"type": ["integer", "number"]}, ["1", "1.5"], ["null"]),
    ({"minLength": 1}, ['"a"'], ['""']),
    (
        {"type": "string", "minLength": 2, "maxLength": 3},
        ['"ab"', '"\\ud83d\\ude00a"', '"abc"'],
        ['"a"', '"abcd"', '"\\ud83d\\ude00"'],
    ),
    ({"type": "string", "maxLength": 0}, ['""'], ['"a"']),
    ({"type": "string", "minLength": 1}, ['"' + "a" * 50 + '"'], ['""']),
    ({"type": "string", "format": "date"}, ['"2024-12-31"'], ['"2024-13-01"', '"2024-04-31"', '"2024-1-1"']),
    ({"type": "string", "format": "time"}, ['"23:59:59+02:00"'], ['"24:00:00Z"']),
    (
        {"type": "string", "format": "date-time"},
        ['"2024-02-28T23:59:59.5Z"'],
        ['"2024-02-30T23:59:59Z"', '"2024-02-28"'],
    ),
    ({"type": "string", "format": "uuid"}, ['"123e4567-e89b-12d3-a456-426614174000"'], ['"123e4567"']),
    (
        {"enum": ["a", 1, None, True, {"k": [1, {}]}, 'q"\\\n\u00e9\x01']},
        ['"a"', "1", "null", "true", '{"k": [1, {}]}', '{"k":[1,{}]}', '"q\\"\\\\\\n\u00e9\\u0001"'],
        ["2", "false", '"b"', '{"k":[]}'],
    ),
    ({"type": "string", "enum": ["a", 1]}, ['"a"'], ["1"]),
    ({"type": "integer", "enum": [1, True, 2.0, 2.5]}, ["1", "2.0"], ["true", "2.5"]),
    ({"const": '] | root ::= "x" #'}, [json.dumps('] | root ::= "x" #')], ['"x"']),
    (
        PERSON,
        ['{"age":1}', '{"name": "a", "age": 1}', '{"age": 1, "tags": [1]}', '{\n"age": 1\n}'],
        [
            "{}",
            '{"name":"a"}',
            '{"age":1,}',
            '{"age":1,"name":"a"}',
            '{"age":1,"x":1}',
            '{  "age":1}',
            '{"age":1,"age":1}',
            '{"age" :1}',
        ],
    ),
    (
        {"type": "object", "properties": {"a": True, "b": True}},
        ["{}", '{"b":1}', '{"a":1}', '{"a": 1, "b": 2}'],
        ['{"c":1}', '{,"a":1}', '{"a":1 "b":2}'],
    ),
    (
        {"type": "object", "properties": {"a": True, "b": True}, "required": ["b"]},
        ['{"b":1}', '{"a":1,"b":2}'],
        ['{"a":1}', '{"b":1,"a":1}', "{}"],
    ),
    ({"type": "object", "properties": {}}, ["{}", "{ }"], ['{"a":1}', "{  }"]),
    ({"type": "object"}, ["{}", '{"a":{"b":[]}}'], ["[]", "{ \n}"]),
    ({"type": "object", "required": ["x"]}, ['{"x":1}', '{"x":1,"y":2}'], ["{}", '{"y":1}']),
    ({"type": "object", "additionalProperties": {"type": "null"}}, ["{}", '{"a": null}'], ['{"a":1}']),
    (
        {"type": "object", "properties": {"ab": True, 'a"b': True}, "additionalProperties": {"type": "null"}},
        ['{"ab":1}', '{"a":null}', '{"abc":null,"":null}', '{"ab":1,"x":null}', '{"a\\"b":1}'],
        ['{"x":1}', '{"x":null,"ab":1}', '{"\\u0061b":null}', '{"ab":1,"ab":null}', '{"a\\"b":1,"a\\"b":null}'],
    ),
    (
        {"properties": {'k"\\\n\u00e9\U0001f600': {"const": 1}}, "required": ['k"\\\n\u00e9\U0001f600']},
        ['{"k\\"\\\\\\n\u00e9\U0001f600": 1}'],
        ['{"k":1}'],
    ),
    ({"type": "array"}, ["[]", "[1, [2]]"], ["[1,,2]", "{}"]),
    (
        {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3},
        ["[true]", "[true, false,\ntrue]"],
        ["[]", "[true,true,true,true]", "[1]"],
    ),
    ({"type": "array", "items": {"type": "null"}, "maxItems": 1}, ["[]", "[null]"], ["[null,null]"]),
    ({"type": "array", "items": {"type": "null"}, "minItems": 2}, ["[null,null]", "[null,null,null]"], ["[null]"]),
    ({"type": "array", "maxItems": 0}, ["[]"], ["[1]"]),
    ({"type": "array", "items": False}, ["[]"], ["[1]"]),
    (
        {
            "prefixItems": [{"type": "null"}, {"type": "boolean"}],
            "minItems": 1,
            "items": {"type": "integer"},
            "maxItems": 3,
        },
        ["[null]", "[null,true]", "[null,true,1]"],
        ["[]", "[true]", "[null,1]", "[null,true,1,2]"],
    ),
    ({"prefixItems": [{"type": "null"}, True]}, ["[]", "[null]", "[null,1]"], ["[1]", "[null,1,1]"]),
    (
        {"prefixItems": [True], "items": {"type": "null"}, "minItems": 3},
        ["[1,null,null]", "[1,null,null,null]"],
        ["[1,null]"],
    ),
    ({"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "null"}}]}, ["1", "[null]"], ['"a"', "[1]"]),
    ({"type": "string", "oneOf": [{"const": "a"}, {"maxLength": 0}]}, ['"a"', '""'], ['"b"', "1"]),
    (
        {
            "allOf": [
                {"type": "object", "properties": {"a": {"type": "null"}}, "required": ["a"]},
                {"$ref": "#/definitions/b"},
            ],
            "definitions": {"b": {"properties": {"b": {"type": "null"}}, "required": ["b"]}},
        },
        ['{"a":null,"b":null}'],
        ['{"a":null}', '{"b":null}', '{"b":null,"a":null}'],
    ),
    ({"allOf": [{"type": "integer"}, {"type": ["number", "null"]}]}, ["1"], ["null", "1.5"]),
    ({"$ref": "#/$defs/a~1b", "description": "x", "$defs": {"a/b": {"type": "null"}}}, ["null"], ["1"]),
    (TREE, ['{"v": 1, "next": {"v": 2, "next": null}}'], ['{"v":1}', '{"v":1,"next":1}']),
    (
        EXPRESSION,
        ['{"op":"add","left":1,"right":{"op":"mul","left":2,"right":3}}', "1"],
        ['{"op":"sub","left":1,"right":2}'],
    ),
    (
        {
            "type": "null",
            "title": "t",
            "description": "d",
            "default": 1,
            "examples": [1],
            "$schema": "s",
            "$id": "i",
            "x-order": 3,
            "uniqueItems": False,
        },
        ["null"],
        ["1"],
    ),
]


@pytest.mark.parametrize(("schema", "good", "bad"), CASES, ids=range(len(CASES)))
def test_what_fits_is_taken_and_nothing_else(schema: Any, good: list[str], bad: list[str]) -> None:
    grammar = grammar_for_schema(schema)
    assert is_grammar(grammar), grammar
    assert [text for text in good if not accepts(grammar, text)] == []
    assert [text for text in bad if accepts(grammar, text)] == []


def test_any_object() -> None:
    grammar = grammar_for_json_object()
    assert accepts(grammar, '{"a": [1, 2.5, null, {"x": "\\u00e9\u00e9"}]}')
    assert accepts(grammar, "{}")
    for text in ("[]", '{"a"', "{,}", '{"a":1,}', "{}\n", "{\n\n}"):
        assert not accepts(grammar, text)


def deep(levels: int, key: str = "anyOf") -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "null"}
    for _ in range(levels):
        schema = {key: [schema]} if key == "anyOf" else {"type": "object", "properties": {"a": schema}}
    return schema


def chain(count: int, link: Any) -> dict[str, Any]:
    definitions = {f"d{at}": link(f"#/$defs/d{at + 1}") for at in range(count)}
    return {"$ref": "#/$defs/d0", "$defs": {**definitions, f"d{count}": {"type": "null"}}}


def array_of(items: Any, **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": items, **more}


HOSTILE: list[tuple[Any, str]] = [
    ({"type": "array", "maxItems": 10**9}, "$.maxItems: is 1000000000; a whole number from 0 to 1999"),
    ({"type": "array", "minItems": 10**5000}, "$.minItems: is a number of more than 38 digits"),
    ({"type": "string", "maxLength": 10**6}, "$.maxLength"),
    ({"type": "string", "minLength": -1}, "$.minLength"),
    ({"type": "string", "minLength": True}, "$.minLength"),
    ({"type": "string", "minLength": 3, "maxLength": 2}, "$.maxLength: is 2, which is less than"),
    (
        {"type": "object", "properties": {f"p{at}": {"type": "string", "maxLength": 1999} for at in range(9)}},
        "above 10000",
    ),
    (
        {"type": "object", "properties": {f"p{at}": {} for at in range(10_000)}},
        "$.properties: has 10000 entries; at most 128",
    ),
    ({"enum": list(range(10_000))}, "$.enum: has 10000 values; at most 500"),
    ({"enum": ["a" * 300_000]}, "more than 200000 characters"),
    ({"enum": list(range(50_000))}, "more than 20000 values"),
    (deep(70), "nested more than 64 levels"),
    (deep(70, "properties"), "nested more than 64 levels"),
    (deep(100_000), "nested more than 200 levels"),
    ({"const": deep(50)}, "$.const: is nested more than 64"),
    ({"anyOf": [deep(60) for _ in range(100)]}, "2000 schemas"),
    (chain(15, lambda to: {"anyOf": [{"$ref": to}, {"$ref": to}]}), ""),
    (chain(15, lambda to: {"anyOf": [{"$ref": to}, {"anyOf": [{"$ref": to}]}]}), "alternatives"),
    (chain(15, lambda to: {"allOf": [{"$ref": to}, {"$ref": to}]}), "2000 schemas"),
    (
        chain(15, lambda to: {"anyOf": [array_of({"$ref": to}), array_of({"$ref": to}, minItems=1)]}),
        "more than 64 ways",
    ),
    ({"anyOf": [array_of({"$ref": "#"}), array_of({"$ref": "#"}, minItems=1)]}, "more than 64 ways"),
    (
        {"anyOf": [{"type": "object", "properties": {"a": {"$ref": "#"}, key: True}} for key in "xy"]},
        "more than 64 ways",
    ),
    ({"anyOf": [{"$ref": "#"}, {"type": "null"}]}, "leads back to itself"),
    ({"$ref": "#"}, "leads back to itself"),
    ({"allOf": [{"$ref": "#"}]}, "leads back to itself"),
    ({"allOf": [{"$ref": "#"}], "type": "null"}, "levels deep"),
    ({"$ref": "https://example.com/x.json"}, "$.$ref: is 'https://example.com/x.json'; only places in this schema"),
    ({"$ref": "#/$defs/x"}, "is not in this schema"),
    ({"$ref": "#anchor"}, "only places"),
    ({"$ref": 1}, "$.$ref"),
    ({"type": "object", "properties": {"k" * 5000: True}, "additionalProperties": True}, "too long"),
]


@pytest.mark.parametrize(("schema", "text"), HOSTILE, ids=range(len(HOSTILE)))
def test_a_schema_that_costs_too_much_is_refused_at_once(schema: Any, text: str) -> None:
    started = time.monotonic()
    if text:
        with pytest.raises(SchemaError) as caught:
            grammar_for_schema(schema)
        assert text in str(caught.value)
        assert len(str(caught.value)) < 500
    else:
        assert is_grammar(grammar_for_schema(schema))
    assert time.monotonic() - started < 5


REFUSED: list[tuple[Any, str]] = [
    *[
        (
            {"properties": {"age": {"type": "string", key: 1}}},
            f"$.properties.age.{key}: is not supported; supported are",
        )
        for key in (
            "pattern",
            "multipleOf",
            "not",
            "if",
            "contains",
            "patternProperties",
            "propertyNames",
            "minProperties",
            "maxProperties",
            "dependentRequired",
            "uniqueItems",
            "unevaluatedProperties",
            "$dynamicRef",
            "nullable",
            "requird",
        )
    ],
    ({"type": "number", "minimum": 1}, "$.minimum: is not supported for numbers"),
    ({"type": "number", "maximum": 1, "minimum": 0}, "$.maximum: is not supported for numbers"),
    ({"type": "integer", "minimum": "1"}, "$.minimum: is '1'; a number"),
    ({"type": "integer", "minimum": float("nan")}, "$.minimum"),
    ({"type": "integer", "minimum": 2, "maximum": 1}, "leaves no whole number"),
    ({"type": "string", "format": "email"}, "$.format: is 'email'; supported are date"),
    ({"type": "text"}, "$.type: is 'text'; allowed are string"),
    ({"type": []}, "$.type"),
    ({"type": [[]]}, "$.type"),
    ({"type": None}, "$.type"),
    (False, "allows no value"),
    ({"properties": {"a": False}}, "$.properties.a: allows no value"),
    ([], "$: is a list; a schema is an object or true"),
    ({"properties": {"a": 3}}, "$.properties.a: is 3"),
    ({"properties": []}, "$.properties"),
    ({"required": "a"}, "$.required"),
    ({"properties": {}, "required": ["a"], "additionalProperties": False}, "$.required: names 'a'"),
    ({"enum": []}, "$.enum"),
    ({"enum": {}}, "$.enum"),
    ({"enum": [float("inf")]}, "$.enum: is no JSON value"),
    ({"enum": ["\ud800"]}, "$.enum: has half of a surrogate"),
    ({"properties": {"\ud800": True}}, "surrogate"),
    ({"type": "string", "enum": [1]}, "$.enum: has no value of the type string"),
    ({"enum": ["a"], "minLength": 3}, "$.minLength: cannot be used beside enum"),
    ({"anyOf": []}, "$.anyOf"),
    ({"anyOf": [True], "oneOf": [True]}, "use one of them"),
    ({"allOf": [{"type": "null"}, {"type": "string"}]}, "$.type: is given twice"),
    (
        {"allOf": [{"properties": {"a": True}, "additionalProperties": False}, {"properties": {"b": True}}]},
        "additionalProperties",
    ),
    ({"allOf": [{"additionalProperties": False}, {"properties": {"b": True}}]}, "additionalProperties"),
    ({"allOf": [{"properties": {"a": {"type": "null"}}}, {"properties": {"a": {}}}]}, "$.properties.a: is given twice"),
    ({"prefixItems": [True], "minItems": 2}, "$.minItems"),
    ({"prefixItems": 1}, "$.prefixItems"),
    ({"properties": {"a": {"$id": "x"}}}, "$.properties.a.$id"),
]


@pytest.mark.parametrize(("schema", "text"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_not_supported_is_refused_by_name(schema: Any, text: str) -> None:
    with pytest.raises(SchemaError) as caught:
        grammar_for_schema(schema)
    assert text in str(caught.value)


def test_the_limits_themselves_are_a_grammar_and_fast() -> None:
    names = [f"p{at}" for at in range(128)]
    cases: list[tuple[Any, str]] = [
        (
            {"type": "object", "properties": {name: {"type": "integer"} for name in names}},
            '{"p3": 1, "p99":2, "p127":0}',
        ),
        ({"type": "string", "minLength": 1999, "maxLength": 1999}, '"' + "a" * 1999 + '"'),
        ({"type": "array", "maxItems": 1999, "items": {"type": "null"}}, "[null,null]"),
        ({"enum": [f"value {at}" for at in range(500)]}, '"value 499"'),
        (deep(60, "properties"), '{"a": {}}'),
    ]
    for schema, text in cases:
        started = time.monotonic()
        grammar = grammar_for_schema(schema)
        assert is_grammar(grammar)
        assert accepts(grammar, text)
        assert time.monotonic() - started < 5


def test_grammar_grows_with_the_optional_properties_and_not_faster() -> None:
    def size(count: int) -> int:
        return len(grammar_for_schema({"properties": {f"p{at:03}": {"type": "null"} for at in range(count)}}))

    assert size(128) - size(64) < 1.2 * (size(64) - size(1))


def test_no_text_has_more_than_one_blank_at_a_place() -> None:
    grammar = grammar_for_json_object()
    assert accepts(grammar, '{ "a": [ 1, 2 ] }')
    for text in ('{  "a"', '{"a":  1', '{"a":1,  "b"', '{"a":[  1', '{"a" :', '{"a":1 ,'):
        assert not accepts(grammar, text, whole=False)


def test_llama_refuses_a_broken_grammar_with_null() -> None:
    assert not is_grammar('root ::= "a')
    assert not is_grammar("root ::= missing")
    assert not is_grammar('root ::= root "a" | "b"')


@settings(max_examples=60, deadline=None)
@given(st.integers(-(10**5), 10**5), st.integers(0, 10**5), st.data())
def test_whole_numbers_between_bounds(low: int, width: int, data: st.DataObject) -> None:
    high = low + width
    grammar = grammar_for_schema({"type": "integer", "minimum": low, "maximum": high})
    for number in (low, high, data.draw(st.integers(low, high))):
        assert accepts(grammar, str(number))
    for number in (low - 1, high + 1, data.draw(st.integers(-(10**6), 10**6))):
        assert accepts(grammar, str(number)) == (low <= number <= high)


def test_every_whole_number_of_small_ranges() -> None:
    for low, high in [(-12, 7), (0, 0), (95, 105), (-101, -99), (1, 30)]:
        grammar = f"root ::= {integers(low, high)}\n"
        found = [number for number in range(-130, 131) if accepts(grammar, str(number))]
        assert found == list(range(low, high + 1))
    assert integers(MOST + 1, None) is None


# Schemas with a value that fits, and what a plain reading of the schema says of any other value.
names = st.sampled_from(["a", "b", "ab", 'q"', "\u00e9"])
leaves: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.sampled_from(
        [{"type": "string"}, {"type": "boolean"}, {"type": "null"}, {"type": "integer"}, {"type": "number"}]
    ),
    st.lists(st.sampled_from(["x", 'y"\n', 1, None, True]), min_size=1, max_size=3).map(
        lambda values: {"enum": values}
    ),
    st.tuples(st.integers(0, 3), st.integers(0, 3)).map(
        lambda two: {"type": "string", "minLength": two[0], "maxLength": sum(two)}
    ),
    st.tuples(st.integers(-50, 50), st.integers(0, 50)).map(
        lambda two: {"type": "integer", "minimum": two[0], "maximum": sum(two)}
    ),
)


def grown(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    objects = st.dictionaries(names, inner, max_size=4).flatmap(
        lambda properties: st.tuples(
            st.lists(st.sampled_from(sorted(properties) or ["a"]), unique=True).map(
                lambda some: [name for name in some if name in properties]
            ),
            st.one_of(st.just(False), inner),
        ).map(
            lambda two: {"type": "object", "properties": properties, "required": two[0], "additionalProperties": two[1]}
        )
    )
    arrays = st.tuples(inner, st.integers(0, 2), st.integers(0, 2)).map(
        lambda three: {"type": "array", "items": three[0], "minItems": three[1], "maxItems": three[1] + three[2]}
    )
    return st.one_of(objects, arrays, st.lists(inner, min_size=1, max_size=3).map(lambda some: {"anyOf": some}))


schemas = st.recursive(leaves, grown, max_leaves=6)
KINDS: dict[str, Any] = {"string": str, "boolean": bool, "null": type(None), "object": dict, "array": list}


def fits(schema: Any, value: Any) -> bool:
    if "anyOf" in schema:
        return any(fits(branch, value) for branch in schema["anyOf"])
    if "enum" in schema:
        return json.dumps(value) in map(json.dumps, schema["enum"])
    kind = schema["type"]
    if kind in {"integer", "number"}:
        plain = type(value) is int or (kind == "number" and type(value) is float)
        return plain and schema.get("minimum", value) <= value <= schema.get("maximum", value)
    if type(value) is not KINDS[kind]:
        return False
    if kind == "string":
        return bool(schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)))
    if kind == "array":
        return schema["minItems"] <= len(value) <= schema["maxItems"] and all(fits(schema["items"], i) for i in value)
    if kind == "object":
        extra = schema["additionalProperties"]
        return set(schema["required"]) <= value.keys() and all(
            fits(schema["properties"].get(name, extra), item) if name in schema["properties"] or extra else False
            for name, item in value.items()
        )
    return True


def ordered(schema: Any, value: Any) -> Any:
    """`value` with the properties in the order in which the grammar writes them."""
    if "anyOf" in schema:
        return ordered(next(branch for branch in schema["anyOf"] if fits(branch, value)), value)
    if schema.get("type") == "array":
        return [ordered(schema["items"], item) for item in value]
    if schema.get("type") == "object":
        known = schema["properties"]
        keys = [name for name in known if name in value] + [name for name in value if name not in known]
        return {key: ordered(known.get(key, schema["additionalProperties"]), value[key]) for key in keys}
    return value


def fitting(draw: st.DrawFn, schema: Any) -> Any:
    if "anyOf" in schema:
        return fitting(draw, draw(st.sampled_from(schema["anyOf"])))
    if "enum" in schema:
        return draw(st.sampled_from(schema["enum"]))
    match schema["type"]:
        case "string":
            chars = st.characters(exclude_categories=["Cs"])
            low = schema.get("minLength", 0)
            return draw(st.text(chars, min_size=low, max_size=schema.get("maxLength", low + 5)))
        case "integer":
            return draw(st.integers(schema.get("minimum", -(10**15)), schema.get("maximum", 10**15)))
        case "number":
            return draw(st.sampled_from([0, -3, 1.5, -0.25, 1e22]))
        case "boolean":
            return draw(st.booleans())
        case "array":
            count = draw(st.integers(schema["minItems"], schema["maxItems"]))
            return [fitting(draw, schema["items"]) for _ in range(count)]
        case "object":
            kept = [n for n in schema["properties"] if n in schema["required"] or draw(st.booleans())]
            value = {name: fitting(draw, schema["properties"][name]) for name in kept}
            if schema["additionalProperties"] and draw(st.booleans()):
                value["zz"] = fitting(draw, schema["additionalProperties"])
            return value
    return None


@st.composite
def schemas_and_values(draw: st.DrawFn) -> tuple[Any, Any, Any]:
    schema, other = draw(schemas), draw(schemas)
    return schema, fitting(draw, schema), fitting(draw, other)


@settings(max_examples=150, deadline=None)
@given(schemas_and_values(), st.sampled_from([None, (",", ":")]))
def test_grammar_takes_what_fits_and_only_that(case: tuple[Any, Any, Any], separators: tuple[str, str] | None) -> None:
    schema, value, other = case
    grammar = grammar_for_schema(schema)
    assert fits(schema, value)
    text = json.dumps(ordered(schema, value), ensure_ascii=False, separators=separators)
    assert accepts(grammar, text), (grammar, text)
    text = json.dumps(other, ensure_ascii=False, separators=separators)
    if accepts(grammar, text):
        assert fits(schema, other), (grammar, text)
