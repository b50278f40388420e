"""Calls of tools: what a model may write, and what becomes of it, whatever the pieces in which it comes."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cerebrum_inference.grammar import (
    CallArguments,
    CallStart,
    SchemaError,
    TextDelta,
    Tool,
    ToolCallParser,
    grammar_for_tools,
    tools_prompt,
)
from support.grammars import accepts, is_grammar

ADD = Tool("add", {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}, "Adds.")
NOW = Tool("now", None)
ANY = Tool("any", {})


def call(name: str, arguments: str) -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


@pytest.mark.parametrize(
    ("choice", "text", "taken"),
    [
        ("required", call("add", '{"x": 1}'), True),
        ("required", call("now", "{}"), True),
        ("required", call("any", '{"q": [1]}'), True),
        ("required", call("now", '{"x": 1}'), False),
        ("required", call("add", "{}"), False),
        ("required", call("none", "{}"), False),
        ("required", "Hello", False),
        ("required", "", False),
        ("required", call("now", "{}") + "\n", False),
        ("now", call("now", "{}"), True),
        ("now", call("add", '{"x": 1}'), False),
        ("auto", call("add", '{"x": 1}'), True),
        ("auto", "Hello", True),
        ("auto", "", True),
        ("auto", "a < b <tool_call> x \u00e9", True),
        ("auto", "<tool_call", True),
        ("auto", "<tool_call>\nHello", False),
        ("auto", "Hello <tool_call>\nx", False),
        ("auto", "Hello <<tool_<" + call("now", "{}"), True),
        ("auto", call("now", "{}") + "x", False),
    ],
)
def test_what_a_model_may_answer(choice: str, text: str, taken: bool) -> None:
    grammar = grammar_for_tools([ADD, NOW, ANY], choice=choice)
    assert is_grammar(grammar)
    assert accepts(grammar, text) == taken


@pytest.mark.parametrize(
    ("tools", "choice", "text"),
    [
        ([], "auto", "tools: has 0 entries; 1 to 128"),
        ([Tool(f"f{at}", None) for at in range(129)], "auto", "tools: has 129 entries"),
        ([ADD, Tool("a b", None)], "auto", "tools.1.function.name: is 'a b'"),
        ([Tool('"', None)], "auto", "tools.0.function.name"),
        ([Tool("a" * 65, None)], "auto", "tools.0.function.name"),
        ([Tool("a\n", None)], "auto", "tools.0.function.name"),
        ([ADD, ADD], "auto", "tools.1.function.name: is 'add', which is taken"),
        ([Tool("auto", None)], "auto", "tools.0.function.name"),
        ([ADD], "sub", "tool_choice: is 'sub'; allowed are auto, required and the tools: add"),
        ([ADD, Tool("b", {"type": "array"})], "auto", "tools.1.function.parameters.type"),
        (
            [ADD, NOW, Tool("b", {"properties": {"x": {"pattern": "a"}}})],
            "auto",
            "tools.2.function.parameters.properties.x.pattern: is not supported",
        ),
        (
            [Tool("b", {"properties": {"p": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"maxItems": 5000}}})],
            "auto",
            "tools.0.function.parameters.$defs.x.maxItems: is 5000",
        ),
    ],
)
def test_a_tool_that_cannot_be_used_is_refused_by_name(tools: list[Tool], choice: str, text: str) -> None:
    with pytest.raises(SchemaError) as caught:
        grammar_for_tools(tools, choice=choice)
    assert text in str(caught.value)


def test_all_tools_share_one_budget() -> None:
    big: dict[str, Any] = {"type": "object", "properties": {f"p{at}": {"type": "null"} for at in range(100)}}
    assert is_grammar(grammar_for_tools([Tool(f"f{at}", big) for at in range(15)], choice="required"))
    with pytest.raises(SchemaError, match=r"tools\.19\.function.*2000 schemas"):
        grammar_for_tools([Tool(f"f{at}", big) for at in range(30)], choice="required")


def test_the_prompt_names_each_function_and_the_format_that_the_parser_reads() -> None:
    prompt = tools_prompt([ADD, NOW])
    lines = [json.loads(line) for line in prompt.splitlines() if line.startswith('{"name": "add"') or '"now"' in line]
    assert [line["name"] for line in lines] == ["add", "now"]
    assert lines[0] == {"name": "add", "description": "Adds.", "parameters": ADD.parameters}
    example = prompt[prompt.index("<tool_call>") : prompt.index("</tool_call>") + len("</tool_call>")]
    answer = example.replace("<name of the function>", "now").replace("<arguments as a JSON object>", "{}")
    assert accepts(grammar_for_tools([NOW], choice="required"), answer)


def parsed(text: str, cuts: list[int]) -> tuple[str, list[list[str]]]:
    """The text, and each call's name and arguments."""
    points = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    parser = ToolCallParser()
    events = [event for a, b in itertools.pairwise(points) for event in parser.feed(text[a:b])] + parser.finish()
    out, calls = "", []
    for event in events:
        if isinstance(event, TextDelta):
            assert event.text
            out += event.text
        elif isinstance(event, CallStart):
            calls.append([event.name, ""])
        else:
            assert isinstance(event, CallArguments)
            assert event.fragment
            calls[-1][1] += event.fragment
    return out, calls


plain = st.text(st.sampled_from('ab<>\n{}"\u00e9'), max_size=12) | st.sampled_from(["<tool_call", "<tool_call> ", ""])
values = st.recursive(
    st.none() | st.integers() | st.text(st.sampled_from('a"\\{}[]\n<'), max_size=6) | st.just("}\n</tool_call>"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('k"}', max_size=3), inner, max_size=3),
    max_leaves=8,
)
arguments = st.dictionaries(st.text('k"\\}', max_size=3), values, max_size=3).map(json.dumps)
cuts = st.lists(st.integers(0, 250), max_size=60)


@given(plain, st.lists(st.tuples(st.sampled_from(["add", "a-b_9"]), arguments, plain), max_size=3), cuts)
def test_calls_and_text_come_out_whatever_the_pieces(
    before: str, made: list[tuple[str, str, str]], where: list[int]
) -> None:
    text = before + "".join(call(name, given_) + after for name, given_, after in made)
    out, calls = parsed(text, where)
    assert out == before + "".join(after for *_, after in made)
    assert calls == [[name, given_] for name, given_, _ in made]


@given(arguments, st.integers(0, 300), cuts)
def test_a_call_that_is_cut_off_gives_what_came(given_: str, length: int, where: list[int]) -> None:
    text = call("add", given_)[:length]
    out, calls = parsed(text, where)
    assert out == (text if len(text) < len("<tool_call>\n") else "")
    head = len('<tool_call>\n{"name": "add", "arguments": ')
    assert calls == ([["add", text[head : head + len(given_)]]] if len(text) > head else [])


@given(st.text(st.sampled_from('<tool_call>\n{"name": }/'), max_size=60), cuts)
def test_nothing_is_lost_of_what_is_no_call(text: str, where: list[int]) -> None:
    assert parsed(text, where) == parsed(text, [])
    if "<tool_call>\n" not in text:
        assert parsed(text, where) == (text, [])


@pytest.mark.parametrize(
    "text",
    [
        "<tool_call>\nHello",
        '<tool_call>\n{"name": "' + "a" * 100,
        '<tool_call>\n{"name": "f", "other": 1',
        '<tool_call>\n{"name": "f", "arguments": 1}',
    ],
)
def test_what_begins_like_a_call_and_is_none_is_text(text: str) -> None:
    assert parsed(text, list(range(200))) == (text, [])


def test_text_and_arguments_pass_as_soon_as_they_are_certain() -> None:
    parser = ToolCallParser()
    assert parser.feed("a <b <tool") == [TextDelta("a <b ")]
    assert parser.feed("s") == [TextDelta("<tools")]
    assert parser.feed('<tool_call>\n{"name": "f", "arguments": ') == []
    assert parser.feed("{") == [CallStart("f"), CallArguments("{")]
    assert parser.feed('"x": 1') == [CallArguments('"x": 1')]
    assert parser.feed("}}\n</tool_") == [CallArguments("}")]
    assert parser.feed("call>") == []
    assert parser.finish() == []
