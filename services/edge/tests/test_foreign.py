"""What is asked of a server that is not ours, and what becomes of its answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cerebrum_edge.relay.answer import Answer
from cerebrum_edge.relay.assembly import whole
from cerebrum_edge.relay.foreign import CHAT, COMPLETIONS, INFILL, NATIVE, ForeignExchange, Traits
from cerebrum_edge.relay.frames import Frames
from cerebrum_edge.relay.native import NativeAnswer
from cerebrum_edge.relay.openai import ChatAnswer, CompletionAnswer
from cerebrum_kit.errors import InvalidRequest, Overloaded, PromptTooLarge, UpstreamError
from cerebrum_kit.sse import Decoder
from support.fake_openai import delta, event, piece, usage

TRAITS = Traits({"coder": "org/model"})
STREAM = {"stream": True, "stream_options": {"include_usage": True}}


def native() -> NativeAnswer:
    body = {"prompt": "p", "max_tokens": 10, "model": "coder"}
    return NativeAnswer(body, receipt={}, elapsed=lambda: 2.0)


def completion(**more: Any) -> CompletionAnswer:
    return CompletionAnswer({"prompt": "p", "model": "coder", **STREAM, **more})


def chat(**more: Any) -> ChatAnswer:
    return ChatAnswer({"messages": [{"role": "user", "content": "hi"}], "model": "coder", **STREAM, **more})


def attempt(answer: Answer, traits: Traits = TRAITS) -> tuple[ForeignExchange, str, dict[str, Any]]:
    exchange = ForeignExchange(traits)
    path, body = exchange.request(answer.path, answer.request())
    return exchange, path, json.loads(body)


def said(answer: Answer, exchange: ForeignExchange, *payloads: Any, ends: bool = False) -> list[Any]:
    """The client's events for a server's payloads."""
    wire = b"".join(one if isinstance(one, bytes) else event(one) for one in payloads)
    out = answer.feed(exchange.frames(Frames().feed(wire)))
    out += answer.feed(exchange.end()) if ends else b""
    return [one.data if one.data == "[DONE]" else json.loads(one.data) for one in Decoder().feed(out)]


# Requests


def test_native_request_is_a_completion_with_the_edges_own_defaults() -> None:
    _, path, body = attempt(native())
    assert path == "/v1/completions"
    sampling = {"temperature": 0.2, "top_p": 0.95, "max_tokens": 10}
    assert body == {"prompt": "p", "model": "org/model", **sampling, **STREAM}


def test_what_only_services_of_ours_know_is_left_out_and_the_rest_is_not() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    asked = chat(tools=tools, max_completion_tokens=7, keep_alive=3, timeout_seconds=9, seed=1, repeat_penalty=1.1)
    _, path, body = attempt(asked)
    assert path == "/v1/chat/completions"
    assert set(body) == {
        "messages", "tools", "max_tokens", "seed", "repeat_penalty", "repetition_penalty", "model", *STREAM,
    }  # fmt: skip
    assert (body["max_tokens"], body["tools"]) == (7, tools)


def test_completion_that_does_not_say_how_long_it_may_be_is_as_long_as_ours() -> None:
    assert attempt(completion())[2]["max_tokens"] == 256
    assert attempt(completion(max_tokens=3))[2]["max_tokens"] == 3


def test_model_without_another_name_is_asked_for_by_its_own() -> None:
    assert attempt(completion(), Traits({}))[2]["model"] == "coder"


def test_server_that_refuses_usage_is_asked_without_and_only_it() -> None:
    told: list[bool] = []
    exchange = ForeignExchange(TRAITS, lambda: told.append(True))
    exchange.request(COMPLETIONS, completion().request())
    assert not exchange.amended(InvalidRequest("no such model"))
    assert not exchange.amended(Overloaded("stream_options"))
    assert exchange.amended(InvalidRequest("Unknown field: stream_options"))
    assert told == [True]
    without = ForeignExchange(Traits({}, usage=False))
    assert "stream_options" not in json.loads(without.request(COMPLETIONS, completion().request())[1])
    assert not without.amended(InvalidRequest("stream_options"))


@pytest.mark.parametrize("path", [INFILL, COMPLETIONS])
def test_middle_is_asked_for_as_the_server_takes_it(path: str) -> None:
    sides: dict[str, Any] = {"input_prefix": "a", "prompt": "b", "input_suffix": "c", "n_predict": 5}
    if path == COMPLETIONS:
        sides = {"prompt": "ab", "suffix": "c", "max_tokens": 5}
    body = json.dumps({**sides, "model": "coder", "top_k": 3}).encode()
    there, sent = ForeignExchange(TRAITS).request(path, body)
    asked = json.loads(sent)
    assert there == COMPLETIONS
    assert [asked[name] for name in ("prompt", "suffix", "max_tokens", "top_k")] == ["ab", "c", 5, 3]
    there, sent = ForeignExchange(Traits({}, infill=True)).request(path, body)
    asked = json.loads(sent)
    assert there == INFILL
    assert (asked["input_prefix"] + asked["prompt"], asked["input_suffix"], asked["n_predict"]) == ("ab", "c", 5)
    assert "suffix" not in asked


# Answers


def test_native_stream_is_what_a_service_of_ours_would_say() -> None:
    answer = native()
    exchange, *_ = attempt(answer)
    events = said(
        answer, exchange, b": ping\r\n\r\n", piece(""), piece("a"), piece("b"), piece("", "stop"), usage(5, 3)
    )
    assert events == [{"token": "a", "total_tokens": 1}, {"token": "b", "total_tokens": 2}]
    (last,) = said(answer, exchange, event(b"[DONE]"))
    assert last == {
        "done": True, "total_tokens": 3, "inference_time": 2.0, "model": "coder", "finish_reason": "stop",
        "tokens_per_second": 1.5, "resumed": 0,
    }  # fmt: skip
    assert answer.done
    assert answer.prompt_tokens == 5


def test_chat_keeps_its_tools_and_says_its_role_once() -> None:
    answer = chat()
    exchange, *_ = attempt(answer)
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}
    more = {"index": 0, "function": {"name": None, "arguments": "{}"}}
    events = said(
        answer, exchange, delta(role="assistant", content=None), delta(content=""), delta(tool_calls=[call]),
        delta(tool_calls=[more]), delta("tool_calls"), usage(5, 3), event(b"[DONE]"),
    )  # fmt: skip
    assert events[-1] == "[DONE]"
    assert events[-2]["usage"]["completion_tokens"] == 3
    assert [one["choices"][0]["delta"] for one in events[:-2]] == [
        {"role": "assistant"},
        {"tool_calls": [{**call, "index": 0}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]},
        {},
    ]
    assert {one["model"] for one in events[:-1]} == {"coder"}
    message = whole(b"".join(event(one, end=b"\n\n") for one in events[:-1]))["choices"][0]
    assert message["message"]["tool_calls"] == [{**call, "function": {"name": "f", "arguments": "{}"}}]
    assert message["finish_reason"] == "tool_calls"


def test_usage_is_the_clients_only_where_it_asked_for_it() -> None:
    answer = completion(stream_options={"include_usage": False})
    exchange, _, body = attempt(answer)
    assert body["stream_options"] == {"include_usage": True}
    events = said(answer, exchange, piece("a", "length"), usage(1, 1), event(b"[DONE]"))
    assert [one if one == "[DONE]" else one.get("usage") for one in events] == [None, "[DONE]"]


def test_infill_is_one_object() -> None:
    for traits, payloads in (
        (TRAITS, [piece("a"), piece("b", "stop"), usage(4, 2)]),
        (
            Traits({}, infill=True),
            [{"content": "a", "stop": False}, {"content": "b", "stop": True, "stop_type": "eos"}],
        ),
    ):
        exchange = ForeignExchange(traits)
        exchange.request(INFILL, b'{"input_prefix": "a", "input_suffix": "c", "model": "coder"}')
        assert exchange.frames([event(one).strip() for one in payloads]) == []
        (answer,) = exchange.end()
        assert json.loads(answer)["content"] == "ab"


@pytest.mark.parametrize(("told", "reason"), [("eos_token", "stop"), ("max_tokens", "length"), ("stop", "stop")])
def test_reasons_are_openais(told: str, reason: str) -> None:
    answer = completion()
    exchange, *_ = attempt(answer)
    assert said(answer, exchange, piece("a", told))[0]["choices"][0]["finish_reason"] == reason


def test_nothing_is_said_behind_the_reason() -> None:
    answer = completion()
    exchange, *_ = attempt(answer)
    events = said(answer, exchange, piece("a", "stop"), piece("never"), piece("", "stop"), event(b"[DONE]"), piece("x"))
    assert [one if one == "[DONE]" else one["choices"][0]["text"] for one in events] == ["a", "[DONE]"]


# Cuts


def test_answer_with_a_reason_is_complete_without_done_and_one_without_is_not() -> None:
    answer = native()
    exchange, *_ = attempt(answer)
    assert said(answer, exchange, piece("a"), ends=True) == [{"token": "a", "total_tokens": 1}]
    assert not answer.done
    assert said(answer, exchange, piece("", "length"), ends=True)[-1]["finish_reason"] == "length"
    assert answer.done
    assert exchange.end() == []


@pytest.mark.parametrize(
    "last",
    [event(b"[DONE]"), piece("", "abort"), {"error": {"message": "engine died", "code": 500}}, {"x": 1}, event(b"{")],
)
def test_what_came_before_a_broken_event_is_said_and_it_is_the_backends_fault(last: Any) -> None:
    answer = completion()
    exchange, *_ = attempt(answer)
    (first,) = said(answer, exchange, piece("a"), last, piece("never"))
    assert first["choices"][0]["text"] == "a"
    assert isinstance(exchange.error, UpstreamError)
    assert exchange.end() == []
    assert answer.can_resume


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        ({"error": {"message": "no", "type": "BadRequestError", "code": 400}}, InvalidRequest),
        ({"object": "error", "message": "no", "type": "BadRequestError", "code": 400}, InvalidRequest),
        ({"error": {"message": "maximum context length is 512 tokens", "code": 400}}, PromptTooLarge),
        ({"error": {"message": "busy", "code": 429}}, Overloaded),
        ({"error": "something"}, UpstreamError),
    ],
)
def test_error_in_a_stream_has_its_meaning(payload: Any, kind: type[Exception]) -> None:
    exchange, *_ = attempt(completion())
    exchange.frames([event(payload).strip()])
    assert type(exchange.error) is kind


def test_text_is_taken_up_where_it_was_cut_and_counted_once() -> None:
    answer = completion(max_tokens=10)
    exchange, *_ = attempt(answer)
    said(answer, exchange, piece("a"), piece("b"))
    exchange, _, body = attempt(answer)
    assert (body["prompt"], body["max_tokens"]) == ("pab", 8)
    events = said(answer, exchange, piece("c", "length"), usage(30, 8), event(b"[DONE]"))
    assert events[0]["choices"][0]["text"] == "c"
    assert events[1]["usage"] == {"prompt_tokens": 28, "completion_tokens": 10, "total_tokens": 38}


@pytest.mark.parametrize("words", [{"content": "a"}, {"tool_calls": [{"index": 0}]}, {"reasoning_content": "hm"}])
def test_chat_that_has_begun_cannot_be_taken_up(words: dict[str, Any]) -> None:
    answer = chat()
    exchange, *_ = attempt(answer)
    said(answer, exchange, delta(role="assistant", content=""))
    assert answer.can_resume
    said(answer, exchange, delta(**words))
    assert not answer.can_resume


@given(
    texts=st.lists(st.text(), max_size=8),
    cuts=st.lists(st.integers(0, 8), max_size=4),
    size=st.integers(1, 64),
    ends=st.sampled_from([b"\n\n", b"\r\n\r\n"]),
    path=st.sampled_from([NATIVE, COMPLETIONS]),
)
def test_nothing_is_lost_or_said_twice_wherever_it_is_cut(
    texts: list[str], cuts: list[int], size: int, ends: bytes, path: str
) -> None:
    """A server that goes on behind whatever it is given, and breaks after some pieces, each time it is asked."""
    answer: Answer = native() if path == NATIVE else completion(max_tokens=1000)
    text, got = "".join(texts), ""
    for pieces in [*cuts, 1000]:
        exchange, _, body = attempt(answer)
        had = body["prompt"].removeprefix("p")
        assert text.startswith(had)
        parts = [text[at : at + 2] for at in range(len(had), len(text), 2)]
        wire = b"".join(event(piece(part), end=ends) for part in parts[:pieces])
        if pieces == 1000:
            wire += event(piece("", "stop"), end=ends) + event(b"[DONE]", end=ends)
        frames = Frames()
        out = b"".join(
            answer.feed(exchange.frames(frames.feed(wire[at : at + size]))) for at in range(0, len(wire), size)
        )
        for one in Decoder().feed(out):
            payload = {} if one.data == "[DONE]" else json.loads(one.data)
            got += payload.get("token", "") + "".join(choice["text"] for choice in payload.get("choices", ()))
    assert got == text
    assert answer.done


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ["text", "delta", "index", "finish_reason", "logprobs", "role", "content", "tool_calls", "function"]
CHOICE = st.recursive(ANYTHING, lambda inner: st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4), max_leaves=8)
CHUNK = st.fixed_dictionaries(
    {},
    optional={"choices": st.lists(CHOICE, max_size=2) | ANYTHING, "error": ANYTHING, "usage": ANYTHING, "id": ANYTHING},
)


@given(
    wire=st.lists(st.binary(max_size=60) | st.builds(event, CHUNK | ANYTHING), max_size=5),
    path=st.sampled_from([NATIVE, COMPLETIONS, CHAT, INFILL]),
)
def test_nothing_that_a_server_sends_is_more_than_its_error(wire: list[bytes], path: str) -> None:
    exchange = ForeignExchange(TRAITS)
    exchange.request(path, json.dumps({"prompt": "", "input_prefix": "", "input_suffix": "", "model": "m"}).encode())
    for one in wire:
        for frame in exchange.frames(one.replace(b"\r", b"").split(b"\n\n")) if exchange.error is None else []:
            assert json.loads(frame.removeprefix(b"data: "))
    exchange.end()
