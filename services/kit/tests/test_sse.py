"""The SSE codec: whatever is encoded comes out again, however the bytes are split."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cerebrum_kit.sse import DONE, KEEP_ALIVE, Decoder, Event, SSEError, encode, encode_json

# A line of data cannot hold a bare carriage return or NUL id; lone surrogates are no text.
texts = st.text(st.characters(blacklist_categories=["Cs"]), min_size=0, max_size=60)


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    points = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in itertools.pairwise(points)]


def decode(chunks: list[bytes]) -> list[Event]:
    decoder = Decoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    assert not decoder.pending
    return events


@given(st.lists(texts, max_size=6), st.lists(st.integers(0, 800), max_size=12))
def test_round_trip_over_any_split(datas: list[str], cuts: list[int]) -> None:
    wire = b"".join(encode(data) + KEEP_ALIVE for data in datas)
    expected = [data.replace("\r\n", "\n").replace("\r", "\n") for data in datas]
    assert [event.data for event in decode(split(wire, cuts))] == expected


@given(
    st.lists(st.from_regex(r"[^\r\n\x00\ud800-\udfff]{0,20}", fullmatch=True), min_size=1, max_size=5),
    st.sampled_from(["\n", "\r", "\r\n"]),
    st.lists(st.integers(0, 400), max_size=20),
)
def test_every_line_ending_means_the_same(lines: list[str], ending: str, cuts: list[int]) -> None:
    wire = "".join(f"data: {line}{ending}" for line in lines) + ending
    assert [event.data for event in decode(split(wire.encode(), cuts))] == ["\n".join(lines)]


@given(st.recursive(st.none() | st.booleans() | st.integers() | texts, st.lists, max_leaves=8))
def test_json_survives(payload: object) -> None:
    (event,) = decode([encode_json(payload)])
    assert json.loads(event.data) == payload


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=8))
def test_any_bytes_are_events_or_an_error_whatever_the_split(data: bytes, cuts: list[int]) -> None:
    def outcome(chunks: list[bytes]) -> list[Event] | str:
        decoder = Decoder()
        events: list[Event] = []
        try:
            for chunk in chunks:
                events += decoder.feed(chunk)
            decoder.finish()
        except SSEError as exc:
            return str(exc)
        return events

    assert outcome([data]) == outcome(split(data, cuts))


@pytest.mark.parametrize(
    ("wire", "events"),
    [
        (b"\xef\xbb\xbfdata: x\n\n", [Event("x")]),
        (b"event: token\ndata: x\nid: 7\n\ndata: y\n\n", [Event("x", "token", "7"), Event("y", "message", "7")]),
        (b"data:x\ndata\ndata: y\n\n", [Event("x\n\ny")]),
        (b": comment\n\nretry: 10\nunknown: z\n\n", []),
        (b"event: token\n\n", []),
        (DONE, [Event("[DONE]")]),
    ],
)
def test_format(wire: bytes, events: list[Event]) -> None:
    assert decode([wire]) == events


@pytest.mark.parametrize("cut", [b"data: x", b"data: x\n", b"data: \xf0\x9f", b"event: token\n"])
def test_end_inside_an_event_is_seen(cut: bytes) -> None:
    decoder = Decoder()
    assert decoder.feed(cut) == []
    assert decoder.pending


@pytest.mark.parametrize("wire", [b"data: " + b"x" * 200, b"data: xxxxxxxx\n" * 20])
def test_event_without_end_is_bounded(wire: bytes) -> None:
    decoder = Decoder(max_event_bytes=100)
    with pytest.raises(SSEError, match="larger than 100"):
        decoder.feed(wire)


@pytest.mark.parametrize("bad", [b"data: \xff\n\n", b"data: " + b"x" * 200 + b"\n\n"])
def test_what_came_whole_before_an_error_is_not_lost(bad: bytes) -> None:
    decoder = Decoder(max_event_bytes=100)
    assert decoder.feed(encode("good") + bad) == [Event("good")]
    for call in (decoder.finish, lambda: decoder.feed(b"")):
        with pytest.raises(SSEError):
            call()


def test_nan_is_never_sent() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode_json({"x": float("nan")})
