"""The relay's decisions: what counts as complete, as an error, whose fault it is, and how an answer goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cerebrum_edge.relay.answer import Answer
from cerebrum_edge.relay.assembly import whole as whole_openai
from cerebrum_edge.relay.frames import Frames
from cerebrum_edge.relay.native import NativeAnswer, whole
from cerebrum_edge.relay.openai import ChatAnswer, CompletionAnswer
from cerebrum_edge.relay.verdict import (
    UpstreamRefused,
    error_from_answer,
    error_from_payload,
    is_failure,
    is_final,
    was_taken,
)
from cerebrum_kit.errors import CerebrumError, Overloaded, UpstreamError
from cerebrum_kit.sse import Decoder, SSEError

DONE = {
    "done": True,
    "total_tokens": 3,
    "inference_time": 0.5,
    "model": "m",
    "finish_reason": "stop",
    "tokens_per_second": 2.0,
    "timings": {"prompt_tokens": 3},
}


def native(**more: Any) -> NativeAnswer:
    body = {"prompt": "p", "max_tokens": 10, **more}
    return NativeAnswer(body, receipt={"language": "python", "condensed": None}, elapsed=lambda: 7.0)


def frame(payload: Any) -> bytes:
    """As our own service writes it, without the blank line."""
    return b"data: " + json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def token(text: str, total: int, *ids: int) -> bytes:
    return frame({"token": text, "total_tokens": total, **({"tokens": ids} if ids else {})})


def events(wire: bytes) -> list[Any]:
    return [one.data if one.data == "[DONE]" else json.loads(one.data) for one in Decoder().feed(wire)]


def asked(answer: Answer) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(answer.request())
    return body


# Native


def test_tokens_and_the_end_are_passed_on_without_their_ids() -> None:
    one = native()
    one.request()
    assert events(one.feed([token('",x', 1, 7), token("\u00e9", 3, 8, 9)])) == [
        {"token": '",x', "total_tokens": 1},
        {"token": "\u00e9", "total_tokens": 3},
    ]
    assert not one.done
    (last,) = events(one.feed([frame(DONE)]))
    expected = {name: value for name, value in DONE.items() if name != "timings"}
    assert last == {**expected, "language": "python", "condensed": None, "resumed": 0}
    assert one.done


def test_ids_are_the_clients_where_it_asked_for_them() -> None:
    one = native(return_tokens=True)
    one.request()
    sent = [token("a", 1, 7), b'data: {"total_tokens": 2, "tokens": [8], "token": "b"}']
    assert [event["tokens"] for event in events(one.feed(sent))] == [[7], [8]]


def test_resumed_answer_goes_on_behind_its_tokens() -> None:
    one = native()
    assert "resume_tokens" not in asked(one)
    one.feed([token("a", 1, 7), token("bc", 3, 8, 9)])
    assert one.can_resume
    assert asked(one) == {"prompt": "p", "max_tokens": 10, "return_tokens": True, "resume_tokens": [7, 8, 9]}
    assert events(one.feed([token("d", 4, 5)])) == [{"token": "d", "total_tokens": 4}]
    assert asked(one)["resume_tokens"] == [7, 8, 9, 5]
    (last,) = events(one.feed([frame({**DONE, "total_tokens": 4})]))
    assert (last["total_tokens"], last["resumed"], last["inference_time"]) == (4, 2, 7.0)


def test_backend_without_ids_is_resumed_by_text_and_counted_on() -> None:
    one = native()
    one.request()
    one.feed([token("a", 1), token("b", 2)])
    assert asked(one) == {"prompt": "pab", "max_tokens": 8, "return_tokens": True}
    assert events(one.feed([token("c", 1), frame({**DONE, "total_tokens": 1})]))[0] == {"token": "c", "total_tokens": 3}
    assert one.done


def test_answer_with_ids_and_without_cannot_be_resumed() -> None:
    one = native()
    one.request()
    one.feed([token("a", 1, 7), token("b", 2)])
    assert not one.can_resume


def test_token_ids_as_a_prompt_are_not_resumed_by_text() -> None:
    one = native(prompt=[1, 2])
    one.request()
    one.feed([token("a", 1)])
    assert not one.can_resume


def test_error_with_done_is_an_error() -> None:
    payload = {"error": {"code": "overloaded", "message": "full"}, "done": True}
    one = native()
    assert one.feed([frame(payload)]) == b""
    assert isinstance(one.error, Overloaded)
    assert one.error.message == "full"


def test_what_came_before_an_error_is_said() -> None:
    one = native()
    one.request()
    assert events(one.feed([token("a", 1, 7), b"data: oops", token("b", 2, 8)])) == [{"token": "a", "total_tokens": 1}]
    assert isinstance(one.error, UpstreamError)
    assert asked(one)["resume_tokens"] == [7]
    assert one.error is None


@pytest.mark.parametrize(
    "data", ["x", "[]", "{}", '{"token": 1, "total_tokens": 1}', '{"token": "x"}', "[DONE]", "[" * 100_000]
)
@pytest.mark.parametrize("make", [native, lambda: CompletionAnswer({"prompt": "p"})])
def test_what_is_no_event_of_ours_is_the_backends_fault(data: str, make: Callable[[], Answer]) -> None:
    one = make()
    assert one.feed([b"data: " + data.encode()]) == b""
    assert isinstance(one.error, UpstreamError)


def test_comments_say_nothing() -> None:
    assert native().feed([b": keep-alive"]) == b""
    assert CompletionAnswer({"prompt": "p"}).feed([b": keep-alive"]) == b""


def test_whole_answer_is_what_the_stream_says() -> None:
    one = native(return_tokens=True)
    one.request()
    answer = whole(one.feed([token("a", 1, 7), token("b", 3, 8, 9), frame(DONE)]))
    assert (answer["text"], answer["tokens"], answer["total_tokens"]) == ("ab", [7, 8, 9], 3)
    assert "done" not in answer


# OpenAI


def chunk(choice: dict[str, Any] | None, *, of: str = "cmpl-1", kind: str = "text_completion", **more: Any) -> bytes:
    choices = [] if choice is None else [{"index": 0, **choice}]
    return frame({"id": of, "object": kind, "created": 1, "model": "m", "choices": choices, **more})


def text(value: str, *ids: int, reason: str | None = None, **more: Any) -> bytes:
    tokens = {"tokens": ids} if ids else {}
    return chunk({"text": value, "logprobs": None, **tokens, "finish_reason": reason}, **more)


def delta(value: dict[str, Any], *ids: int, reason: str | None = None, **more: Any) -> bytes:
    choice = {"delta": value, "logprobs": None, **({"tokens": ids} if ids else {}), "finish_reason": reason}
    return chunk(choice, kind="chat.completion.chunk", **more)


def test_chunks_are_passed_on_without_their_ids() -> None:
    one = CompletionAnswer({"prompt": "p"})
    one.request()
    sent = [text("a", 1), text('","tokens":[9]', 2), text("c", 3, 4), text("", reason="stop"), b"data: [DONE]"]
    seen = events(one.feed(sent))
    assert [chunk["choices"][0]["text"] for chunk in seen[:-1]] == ["a", '","tokens":[9]', "c", ""]
    assert all("tokens" not in chunk["choices"][0] for chunk in seen[:-1])
    assert seen[-1] == "[DONE]"
    assert one.done
    assert one.tokens == 4


def test_resumed_chunks_stay_one_answer() -> None:
    one = ChatAnswer({"messages": []})
    one.request()
    role = {"role": "assistant", "content": ""}
    first = events(one.feed([delta(role, of="first"), delta({"content": "a"}, 1, of="first")]))
    assert asked(one)["resume_tokens"] == [1]
    second = events(
        one.feed(
            [
                delta(role, of="second"),
                delta({"content": "b"}, 2, of="second"),
                delta({}, reason="stop", of="second"),
                b"data: [DONE]",
            ]
        )
    )
    assert [choice["delta"] for event in first for choice in event["choices"]] == [role, {"content": "a"}]
    assert [event["choices"][0]["delta"] for event in second[:-1]] == [{"content": "b"}, {}]
    assert {event["id"] for event in [*first, *second[:-1]]} == {"first"}


def test_end_is_said_once_though_the_stream_was_cut_behind_it() -> None:
    one = CompletionAnswer({"prompt": "p"})
    one.request()
    one.feed([text("a", 1), text("", reason="length")])
    assert not one.done
    one.request()
    seen = events(one.feed([text("", reason="length"), chunk(None, usage={"total_tokens": 2}), b"data: [DONE]"]))
    assert [event if event == "[DONE]" else event["choices"] for event in seen] == [[], "[DONE]"]


def test_done_without_a_reason_is_a_cut() -> None:
    one = CompletionAnswer({"prompt": "p"})
    one.request()
    assert one.feed([text("a", 1), b"data: [DONE]"])
    assert one.error is not None
    assert "without a reason" in one.error.message
    assert not one.done


def test_completion_without_ids_is_resumed_by_text_and_a_chat_is_not() -> None:
    one = CompletionAnswer({"prompt": "p", "max_tokens": 9})
    one.request()
    one.feed([text("a"), text("b")])
    assert one.can_resume
    assert (asked(one)["prompt"], asked(one)["max_tokens"]) == ("pab", 7)
    other = ChatAnswer({"messages": []})
    other.request()
    other.feed([delta({"content": "a"})])
    assert not other.can_resume


def test_whole_chat_has_its_calls_and_logprobs() -> None:
    one = ChatAnswer({"messages": []})
    one.request()
    function = {"name": "f", "arguments": ""}
    logprobs = {"content": [{"token": "x"}], "refusal": None}
    wire = one.feed(
        [
            delta({"role": "assistant", "content": ""}),
            chunk(
                {"delta": {"content": "t"}, "logprobs": logprobs, "tokens": [1], "finish_reason": None},
                kind="chat.completion.chunk",
            ),
            delta({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]}, 2),
            delta({"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]}, 3),
            delta({"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]}, 4),
            delta({}, reason="tool_calls"),
            chunk(None, usage={"total_tokens": 9}, timings={}),
            b"data: [DONE]",
        ]
    )
    answer = whole_openai(wire)
    assert answer["object"] == "chat.completion"
    (choice,) = answer["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["logprobs"] == logprobs
    assert choice["message"]["content"] == "t"
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    assert choice["message"]["tool_calls"] == [call]
    assert answer["usage"] == {"total_tokens": 9}


# Frames


@given(
    st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=12), max_size=8),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.data(),
)
def test_frames_are_the_same_however_the_bytes_are_cut(texts: list[str], end: str, data: st.DataObject) -> None:
    wire = "".join(f"data: {one}{end}{end}" for one in texts).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
    frames, seen = Frames(), []
    for start, stop in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        seen += frames.feed(wire[start:stop])
    # A CR at the very end waits for the LF that may follow it.
    expected = [f"data: {one}".encode() for one in texts]
    assert seen == expected or (end == "\r" and seen == expected[:-1])


def test_frames_before_the_broken_one_come_first() -> None:
    frames = Frames()
    assert frames.feed(b"data: a\n\ndata: \xff\n\n") == [b"data: a"]
    with pytest.raises(SSEError, match="UTF-8"):
        frames.feed(b"data: b\n\n")


def test_frame_without_an_end_is_bounded() -> None:
    frames = Frames(most_bytes=100)
    frames.feed(b"data: " + b"0" * 90)
    with pytest.raises(SSEError, match="larger than 100"):
        frames.feed(b"0123456789")


# Verdicts


@pytest.mark.parametrize(
    ("status", "code", "seen", "failure", "final"),
    [
        (400, "invalid_request", "invalid_request", False, True),
        (404, "model_not_found", "model_not_found", False, True),
        (413, "prompt_too_large", "prompt_too_large", False, True),
        (401, "unauthorized", "upstream_error", False, True),
        (403, "forbidden", "upstream_error", False, True),
        (429, "", "upstream_error", False, True),
        (500, "internal", "upstream_error", True, False),
        (502, "", "upstream_error", True, False),
        (502, "upstream_error", "upstream_error", True, False),
        (503, "upstream_unavailable", "upstream_unavailable", True, False),
        (504, "upstream_timeout", "upstream_timeout", True, False),
        (503, "overloaded", "overloaded", False, False),
        (503, "model_unusable", "model_unusable", False, True),
        (504, "deadline_exceeded", "deadline_exceeded", False, True),
    ],
)
def test_backends_status_has_a_meaning(status: int, code: str, seen: str, failure: bool, final: bool) -> None:
    body = json.dumps({"error": {"message": "the words", "code": code, "param": "prompt"}}).encode()
    error = error_from_answer(status, body, {"retry-after": "7"})
    assert (error.code, is_failure(error), is_final(error)) == (seen, failure, final)
    assert error.retry_after == (7.0 if seen in {"overloaded", "upstream_unavailable"} else None)
    assert status in (401, 403) or error.message == "the words"


@pytest.mark.parametrize(
    ("status", "code", "failure", "taken"),
    [
        (502, "upstream_error", False, True),
        (504, "upstream_timeout", False, True),
        (503, "overloaded", False, False),
        (503, "upstream_unavailable", True, False),
    ],
)
def test_balancer_is_not_blamed_for_one_of_its_hosts(status: int, code: str, failure: bool, taken: bool) -> None:
    error = error_from_answer(status, json.dumps({"error": {"message": "", "code": code}}).encode(), {})
    assert (is_failure(error, balanced=True), was_taken(error)) == (failure, taken)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": "text"}', b'{"error": null}', b"\xff"])
def test_answer_that_is_not_ours_is_still_an_error(body: bytes) -> None:
    assert type(error_from_answer(502, body, {})) is UpstreamError
    assert isinstance(error_from_answer(404, body, {}), UpstreamRefused)


@pytest.mark.parametrize("wait", ["soon", "-1", "1e9", "999999999", "\u0663"])
def test_odd_retry_after_is_bounded(wait: str) -> None:
    error = error_from_answer(503, b"{}", {"retry-after": wait})
    assert error.retry_after is not None
    assert 0 < error.retry_after <= 600


def test_one_that_names_no_time_asks_for_no_pause() -> None:
    """Its words are those of an instance that ends: at its address another one answers already."""
    said = {"error": {"message": "The service is shutting down.", "code": "overloaded"}}
    for error in (error_from_payload(said), error_from_answer(503, json.dumps(said).encode(), {})):
        assert isinstance(error, Overloaded)
        assert error.retry_after is None


@pytest.mark.parametrize("payload", [{"error": {"code": "no such code"}}, {"error": {}}, {"error": []}])
def test_error_in_a_stream_is_never_lost(payload: dict[str, object]) -> None:
    assert isinstance(error_from_payload(payload), CerebrumError)
