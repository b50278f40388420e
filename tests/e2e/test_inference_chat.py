"""`/v1/chat/completions` as OpenAI's own client sees it: formats, tools, log-probabilities.

The shipped model writes nonsense; what holds it to JSON is the grammar, and that is what these tests look at.
"""

from __future__ import annotations

import json
import math
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from support.inference import TINY, Inference

ASK = [{"role": "user", "content": "What is the weather in Oslo?"}]
SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"enum": ["Oslo", "Rome"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
        "rain": {"type": "boolean"},
    },
    "required": ["city", "days", "rain"],
    "additionalProperties": False,
}
TOOLS = [
    {"type": "function", "function": {"name": "weather", "description": "Looks outside.", "parameters": SCHEMA}},
    {"type": "function", "function": {"name": "ping"}},
]
FORMAT = {"type": "json_schema", "json_schema": {"name": "forecast", "schema": SCHEMA, "strict": True}}
NAMED = {"type": "function", "function": {"name": "weather"}}
# Sampled: nothing of the structure may depend on what the model would like to say.
SAMPLED = {"temperature": 1.2, "max_tokens": 400}


def chat(sdk: openai.OpenAI, messages: Any = ASK, **more: Any) -> ChatCompletion:
    answer: ChatCompletion = sdk.chat.completions.create(model=TINY, messages=messages, **more)
    return answer


def stream(sdk: openai.OpenAI, messages: Any = ASK, **more: Any) -> list[ChatCompletionChunk]:
    return list(sdk.chat.completions.create(model=TINY, messages=messages, stream=True, **more))


def streamed_text(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def fits(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and list(value) == ["city", "days", "rain"]
        and value["city"] in ("Oslo", "Rome")
        and isinstance(value["days"], int)
        and 1 <= value["days"] <= 7
        and isinstance(value["rain"], bool)
    )


def test_logprobs_are_of_the_text(sdk: openai.OpenAI) -> None:
    choice = chat(sdk, logprobs=True, top_logprobs=4, temperature=0, max_tokens=20).choices[0]
    assert choice.logprobs is not None
    rows = choice.logprobs.content
    assert rows
    assert b"".join(bytes(row.bytes or ()) for row in rows).decode() == choice.message.content
    for row in rows:
        values = [one.logprob for one in row.top_logprobs]
        assert row.logprob <= 0
        assert len(values) == 4
        assert values == sorted(values, reverse=True)
        assert math.isclose(values[0], row.logprob), "the greedy token is the likeliest"
        assert row.top_logprobs[0].bytes == row.bytes


def test_streamed_logprobs_are_those_of_the_whole(sdk: openai.OpenAI) -> None:
    ask = {"logprobs": True, "top_logprobs": 2, "temperature": 0, "max_tokens": 20}
    whole = chat(sdk, **ask).choices[0]
    chunks = stream(sdk, **ask)
    assert streamed_text(chunks) == whole.message.content
    assert whole.logprobs is not None
    rows = [row for chunk in chunks if (found := chunk.choices[0].logprobs) for row in found.content or ()]
    assert [row.bytes for row in rows] == [row.bytes for row in whole.logprobs.content or ()]


def test_logprobs_without_alternatives_have_none(sdk: openai.OpenAI) -> None:
    choice = chat(sdk, logprobs=True, max_tokens=3).choices[0]
    assert choice.logprobs is not None
    assert [row.top_logprobs for row in choice.logprobs.content or ()] == [[], [], []]
    assert chat(sdk, max_tokens=3).choices[0].logprobs is None


def test_seed_and_stop(sdk: openai.OpenAI) -> None:
    # Few tokens: over many, the last bits of the probabilities, which depend on the batch, would decide one of them.
    seeds = (3, 3, 4, 5, 6)
    texts = [chat(sdk, temperature=1, max_tokens=5, seed=seed).choices[0].message.content for seed in seeds]
    assert texts[0] == texts[1]
    assert len(set(texts)) > 1
    text = chat(sdk, temperature=0, max_tokens=20).choices[0].message.content
    assert text
    cut = chat(sdk, temperature=0, max_tokens=20, stop=text[5:8]).choices[0]
    assert (cut.message.content, cut.finish_reason) == (text[: text.index(text[5:8])], "stop")


def test_usage_of_a_stream_comes_last(sdk: openai.OpenAI) -> None:
    chunks = stream(sdk, max_tokens=4, stream_options={"include_usage": True})
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens <= 4
    assert chunks[-1].usage.prompt_tokens_details is not None
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert chunks[-1].model_extra is not None
    assert chunks[-1].model_extra["timings"]["prompt_tokens"] == chunks[-1].usage.prompt_tokens


def test_returned_tokens_are_the_text(sdk: openai.OpenAI, inference: Inference) -> None:
    ask: dict[str, Any] = {"temperature": 0, "max_tokens": 20, "extra_body": {"return_tokens": True}}
    choice = chat(sdk, **ask).choices[0]
    assert choice.model_extra is not None
    tokens = choice.model_extra["tokens"]
    assert inference.detokenize(tokens) == choice.message.content
    chunks = stream(sdk, **ask)
    assert [token for chunk in chunks for token in chunk.choices[0].model_dump().get("tokens") or ()] == tokens


def test_cached_tokens_grow_when_a_conversation_goes_on(sdk: openai.OpenAI) -> None:
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Count: " + " ".join(map(str, range(60)))}]
    first = chat(sdk, messages, temperature=0, max_tokens=4)
    messages += [{"role": "assistant", "content": "ok"}, {"role": "user", "content": "go on"}]
    second = chat(sdk, messages, temperature=0, max_tokens=4)
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.prompt_tokens_details is not None
    assert first.usage.prompt_tokens - 16 <= (second.usage.prompt_tokens_details.cached_tokens or 0)


@pytest.mark.parametrize("seed", range(3))
def test_answer_in_json_parses(sdk: openai.OpenAI, seed: int) -> None:
    ask: dict[str, Any] = {"response_format": {"type": "json_object"}, "seed": seed, **SAMPLED}
    choice = chat(sdk, **ask).choices[0]
    assert choice.message.content is not None
    assert choice.message.content.startswith("{")
    if choice.finish_reason == "stop":  # free strings may outlast any limit
        assert isinstance(json.loads(choice.message.content), dict)
    assert streamed_text(stream(sdk, **ask)) == choice.message.content


@pytest.mark.parametrize("seed", range(3))
def test_answer_has_the_schemas_form(sdk: openai.OpenAI, seed: int) -> None:
    ask: dict[str, Any] = {"response_format": FORMAT, "seed": seed, **SAMPLED}
    choice = chat(sdk, **ask).choices[0]
    assert choice.finish_reason == "stop"
    assert choice.message.content is not None
    assert fits(json.loads(choice.message.content))
    chunks = stream(sdk, **ask)
    assert streamed_text(chunks) == choice.message.content
    assert chunks[-1].choices[0].finish_reason == "stop"


@pytest.mark.parametrize("choice", ["required", NAMED], ids=["required", "named"])
@pytest.mark.parametrize("seed", range(3))
def test_tool_that_must_be_called_is_called(sdk: openai.OpenAI, choice: Any, seed: int) -> None:
    only = TOOLS[:1] if choice == "required" else TOOLS
    answer = chat(sdk, tools=only, tool_choice=choice, seed=seed, **SAMPLED).choices[0]
    assert answer.finish_reason == "tool_calls"
    assert answer.message.tool_calls is not None
    (call,) = answer.message.tool_calls
    assert call.type == "function"
    assert call.id.startswith("call_")
    assert call.function.name == "weather"
    assert fits(json.loads(call.function.arguments))
    assert answer.message.content is None


@pytest.mark.parametrize("choice", ["required", "auto"])
@pytest.mark.parametrize("text", ["What is the weather in Oslo?", "x", "def f():"])
def test_streamed_call_is_the_whole_one(sdk: openai.OpenAI, choice: Any, text: str) -> None:
    messages = [{"role": "user", "content": text}]
    # Greedy: a sampled text of some length differs from run to run by the last bits of its probabilities.
    ask: dict[str, Any] = {"messages": messages, "tools": TOOLS[:1], "tool_choice": choice, "temperature": 0}
    ask["max_tokens"] = 60 if choice == "auto" else 200
    whole = chat(sdk, **ask).choices[0]
    chunks = stream(sdk, **ask)
    deltas = [delta for chunk in chunks for delta in chunk.choices[0].delta.tool_calls or ()]
    calls: dict[int, list[str]] = {}
    for delta in deltas:
        assert delta.function is not None
        if delta.index not in calls:
            assert delta.id is not None
            assert delta.type == "function"
            calls[delta.index] = [delta.function.name or "", ""]
        calls[delta.index][1] += delta.function.arguments or ""
    expected = [[call.function.name, call.function.arguments] for call in whole.message.tool_calls or ()]  # type: ignore[union-attr]  # functions are the one kind of call
    assert [calls[index] for index in range(len(calls))] == expected
    assert streamed_text(chunks) == (whole.message.content or "")
    assert chunks[-1].choices[0].finish_reason == whole.finish_reason
    assert choice == "auto" or len(expected) == 1


def test_tools_without_a_choice_leave_the_model_free(sdk: openai.OpenAI) -> None:
    answer = chat(sdk, tools=TOOLS, seed=1, **SAMPLED).choices[0]
    assert answer.finish_reason in ("stop", "length", "tool_calls")
    for call in answer.message.tool_calls or ():
        assert call.type == "function"
        assert call.function.name in ("weather", "ping")
    ban = chat(sdk, tools=TOOLS, tool_choice="none", temperature=0, max_tokens=16)
    assert ban.choices[0].message.tool_calls is None
    assert ban.choices[0].message.content == chat(sdk, temperature=0, max_tokens=16).choices[0].message.content


def test_tools_are_described_to_the_model(sdk: openai.OpenAI) -> None:
    bare, told = chat(sdk, max_tokens=1), chat(sdk, max_tokens=1, tools=TOOLS, tool_choice="auto")
    assert bare.usage is not None
    assert told.usage is not None
    assert told.usage.prompt_tokens > bare.usage.prompt_tokens + 20


def test_calls_and_their_results_are_part_of_the_conversation(sdk: openai.OpenAI) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    history: list[dict[str, Any]] = [
        *ASK,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "rain, rain, rain"},
    ]
    answer = chat(sdk, history, tools=TOOLS, max_tokens=8)
    assert answer.usage is not None
    shorter = chat(sdk, [*history[:2], {**history[2], "content": ""}], tools=TOOLS, max_tokens=8)
    assert shorter.usage is not None
    assert answer.usage.prompt_tokens > shorter.usage.prompt_tokens
