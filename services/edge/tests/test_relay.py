"""The relay's verdicts: what counts as complete, as an error, and whose fault it is."""

from __future__ import annotations

import json

import pytest

from cerebrum_edge.relay.native import NativeRelay
from cerebrum_edge.relay.verdict import error_from_answer, error_from_payload
from cerebrum_edge.routing import Route
from cerebrum_kit.errors import CerebrumError, Overloaded, UpstreamError
from cerebrum_kit.sse import Decoder, Event

DONE = {
    "done": True,
    "total_tokens": 1,
    "inference_time": 0.5,
    "model": "m",
    "finish_reason": "stop",
    "tokens_per_second": 2.0,
    "timings": {"prompt_tokens": 3},
}


def relay() -> NativeRelay:
    return NativeRelay(Route("m", "python"))


def sent(wire: bytes) -> object:
    (event,) = Decoder().feed(wire)
    return json.loads(event.data)


def test_tokens_and_the_end_are_passed_on() -> None:
    one = relay()
    assert sent(one.feed(Event('{"token": "x", "total_tokens": 1}'))) == {"token": "x", "total_tokens": 1}
    assert sent(one.feed(Event(json.dumps(DONE)))) == {
        "done": True,
        "total_tokens": 1,
        "inference_time": 0.5,
        "model": "m",
        "finish_reason": "stop",
        "tokens_per_second": 2.0,
        "language": "python",
        "resumed": 0,
    }
    one.end()
    assert one.text == "x"


def test_stream_that_merely_stops_was_cut() -> None:
    one = relay()
    one.feed(Event('{"token": "x", "total_tokens": 1}'))
    with pytest.raises(UpstreamError, match="cut after 1 tokens"):
        one.end()


def test_error_with_done_is_an_error() -> None:
    payload = {"error": {"code": "overloaded", "message": "full"}, "done": True}
    with pytest.raises(Overloaded, match="full"):
        relay().feed(Event(json.dumps(payload)))


@pytest.mark.parametrize("data", ["", "x", "[]", "{}", '{"token": 1, "total_tokens": 1}', '{"token": "x"}', "[DONE]"])
def test_what_is_no_event_of_ours_is_the_backends_fault(data: str) -> None:
    with pytest.raises(UpstreamError):
        relay().feed(Event(data))


@pytest.mark.parametrize(
    ("status", "code", "seen", "who"),
    [
        (400, "invalid_request", "invalid_request", "client"),
        (404, "model_not_found", "model_not_found", "client"),
        (413, "prompt_too_large", "prompt_too_large", "client"),
        (401, "unauthorized", "upstream_error", "upstream"),
        (403, "forbidden", "upstream_error", "upstream"),
        (500, "internal", "upstream_error", "upstream"),
        (503, "overloaded", "overloaded", "service"),
        (502, "", "upstream_error", "upstream"),
    ],
)
def test_backends_status_has_a_meaning_for_the_client(status: int, code: str, seen: str, who: str) -> None:
    body = json.dumps({"error": {"message": "the words", "code": code, "param": "prompt"}}).encode()
    error = error_from_answer(status, body, {"retry-after": "7"})
    assert (error.code, error.who) == (seen, who)
    assert error.retry_after == (7.0 if status == 503 else None)
    assert status in (401, 403) or error.message == "the words"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": "text"}', b'{"error": null}', b"\xff"])
def test_answer_that_is_not_ours_is_still_an_error(body: bytes) -> None:
    assert isinstance(error_from_answer(502, body, {}), UpstreamError)


@pytest.mark.parametrize("wait", ["soon", "-1", "1e9", "999999999", "\u0663"])
def test_odd_retry_after_is_bounded(wait: str) -> None:
    error = error_from_answer(503, b"{}", {"retry-after": wait})
    assert error.retry_after is not None
    assert 0 < error.retry_after <= 600


@pytest.mark.parametrize("payload", [{"error": {"code": "no such code"}}, {"error": {}}, {"error": []}])
def test_error_in_a_stream_is_never_lost(payload: dict[str, object]) -> None:
    assert isinstance(error_from_payload(payload), CerebrumError)
