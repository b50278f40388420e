from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.edge_shapes import LAST_CHUNK, MODEL, Api, Ask, stream_chunks, whole
from benchmarks.edge_upstream import answer
from benchmarks.edge_wire import Answer, content_length, fields, post, problem, status

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
APIS: tuple[Api, ...] = ("native", "completions", "chat")


def streamed(api: Api, tokens: int = 4) -> bytes:
    return HEAD + b"".join(stream_chunks(Ask(api, MODEL, tokens, stream=True))) + LAST_CHUNK


def fed(wire: bytes) -> Answer:
    found = Answer(0.0)
    found.feed(wire, 1.0)
    return found


@given(st.sampled_from([*map(streamed, APIS), answer(b"{}"), answer(b""), HEAD + LAST_CHUNK]), st.data())
def test_an_answer_is_whole_with_its_last_byte_however_it_is_cut(wire: bytes, data: st.DataObject) -> None:
    inner = data.draw(st.sets(st.integers(1, len(wire) - 1), max_size=8))
    cuts = [0, *sorted(inner), len(wire)]
    found = Answer(0.0)
    verdicts = [found.feed(wire[one:other], float(other)) for one, other in pairwise(cuts)]
    assert verdicts == [False] * (len(cuts) - 2) + [True]
    assert found.ended == len(wire)
    assert found.raw == wire


def test_the_first_event_of_a_stream_is_no_head_and_no_comment() -> None:
    found = Answer(0.0)
    found.feed(HEAD, 1.0)
    found.feed(b"e\r\n: keep-alive\n\n\r\n", 2.0)
    found.feed(b"9\r\ndata: 1\n\n\r\n", 3.0)
    assert (found.first, found.ended) == (3.0, None)


@pytest.mark.parametrize("api", APIS)
def test_a_right_answer_has_no_problem(api: Api) -> None:
    assert problem(fed(streamed(api)), 4, stream=True) is None
    body = whole(Ask(api, MODEL, 4, stream=False))
    assert problem(fed(answer(body)), 4, stream=False) is None
    in_chunks = b"%x\r\n%s\r\n%x\r\n%s\r\n" % (7, body[:7], len(body) - 7, body[7:]) + LAST_CHUNK
    chunked = HEAD.replace(b"text/event-stream", b"application/json") + in_chunks
    assert problem(fed(chunked), 4, stream=False) is None


@pytest.mark.parametrize("api", APIS)
def test_what_is_lost_doubled_or_cut_is_a_problem(api: Api) -> None:
    chunks = stream_chunks(Ask(api, MODEL, 4, stream=True))
    for changed in ([*chunks[:2], *chunks[3:]], [*chunks[:3], chunks[2], *chunks[3:]], chunks[:3], []):
        assert problem(fed(HEAD + b"".join(changed) + LAST_CHUNK), 4, stream=True) is not None
    assert "without its end" in str(problem(fed(HEAD + chunks[0]), 4, stream=True))


def test_refusals_and_other_bodies_are_problems() -> None:
    refused = answer(b'{"error": {"message": "busy"}}', "503 Service Unavailable")
    for stream in (False, True):
        assert "busy" in str(problem(fed(refused), 4, stream=stream))
        assert problem(Answer(0.0), 4, stream=stream) is not None
    for body in (b"[]", b"{}", b'{"choices": []}', b"no", json.dumps({"text": " t0"}).encode()):
        assert problem(fed(answer(body)), 4, stream=False) is not None


def test_a_request_says_where_it_ends() -> None:
    head, _, body = post("h:1", "/x", fields("chat", model="m", tokens=5, stream=True)).partition(b"\r\n\r\n")
    assert content_length(head) == len(body)
    assert json.loads(body)["messages"][0]["role"] == "user"
    assert "stream" not in fields("native", model="m", tokens=5, stream=True)
    assert content_length(b"GET / HTTP/1.1") is None


def test_the_status_of_what_is_no_answer_is_0() -> None:
    assert status(b"HTTP/1.1 404 Not Found\r\n") == 404
    assert status(b"") == status(b"SSH-2.0") == 0
