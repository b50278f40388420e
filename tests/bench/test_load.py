from __future__ import annotations

import json

import pytest

from benchmarks.load import Ask, Endpoint, RequestFailed, Stream, Window, body, parse, prompt
from benchmarks.peers import metric_in

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
NATIVE = b'data: {"token":"a","total_tokens":1}\n\n: keep-alive\n\ndata: {"token":"b","total_tokens":3}\n\n'
DONE = b'data: {"done":true,"total_tokens":3}\n\n'


def chunked(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_stream_is_read_however_it_is_cut(size: int) -> None:
    wire = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(NATIVE, DONE)
    pieces = [(float(at), wire[at : at + size]) for at in range(0, len(wire), size)]
    stream = parse(0.0, pieces)
    assert (stream.text, stream.tokens, stream.complete, len(stream.times)) == ("ab", 3, True, 2)


def test_a_body_without_chunks_and_with_openais_events() -> None:
    events = [
        {"choices": [{"text": "x", "finish_reason": None}]},
        {"choices": [{"text": "", "finish_reason": "length"}]},
        {"choices": [], "usage": {"completion_tokens": 5}},
    ]
    wire = b"".join(b"data: " + json.dumps(event).encode() + b"\r\n\r\n" for event in events) + b"data: [DONE]\r\n\r\n"
    stream = parse(0.0, [(1.0, HEAD + b"\r\n" + wire)])
    assert (stream.text, stream.tokens, stream.complete) == ("x", 5, True)


def test_tokens_are_counted_where_a_server_does_not_say_how_many() -> None:
    events = b'data: {"choices":[{"text":"x"}]}\n\n' * 4
    assert parse(0.0, [(1.0, HEAD + b"\r\n" + events)]).tokens == 4


@pytest.mark.parametrize("wire", [b"HTTP/1.1 503 No\r\n\r\nbusy", b"", HEAD + b'\r\ndata: {"error":{"code":"x"}}\n\n'])
def test_a_refusal_is_no_stream(wire: bytes) -> None:
    with pytest.raises(RequestFailed):
        parse(0.0, [(1.0, wire)])


def test_a_windows_rate_is_from_the_first_request_to_the_last_token() -> None:
    window = Window((Stream(0.0, [1.0, 4.0], 10), Stream(1.0, [2.0, 5.0], 20)))
    assert window.tokens_per_second == 6
    assert window.streams[0].longest_gap == 3


def test_prompts_have_their_length_and_their_seeds_text() -> None:
    assert len(prompt(127, 1)) == 127
    assert prompt(127, 1) == prompt(127, 1) != prompt(127, 2)
    assert prompt(30, 1, start="abc").startswith("abc")


def test_each_server_gets_the_fields_that_it_knows() -> None:
    native = json.loads(body(Endpoint("cerebrum", 1, 1, "native"), Ask("a", 3)))
    assert "stream" not in native
    openai = json.loads(body(Endpoint("x", 1, 1, extra=(("ignore_eos", True),)), Ask((1, 2), 3, stop=("q",))))
    assert (openai["prompt"], openai["stop"], openai["stream"], openai["ignore_eos"]) == ([1, 2], ["q"], True, True)


def test_a_metric_is_the_sum_of_its_samples() -> None:
    text = '# HELP a_total b\na_total{model="x"} 1.5\na_total{model="y"} 2\na_total_more 9\n'
    assert metric_in(text, "a_total") == 3.5
    assert metric_in(text, "b_total") is None
