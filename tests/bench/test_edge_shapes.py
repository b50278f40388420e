from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.edge_shapes import MODEL, TOKENS, Ask, read_ask, stream_chunks, text, whole
from benchmarks.load import events, unchunked


def asked(path: str, **fields: Any) -> Ask:
    ask = read_ask(path, json.dumps(fields).encode())
    assert ask is not None
    return ask


def payloads(ask: Ask) -> list[dict[str, Any]]:
    """A stream's events, OpenAI's end left out."""
    wire = b"".join(stream_chunks(ask)) + b"0\r\n\r\n"
    return [json.loads(data) for _, data in events(unchunked([(0.0, wire)])) if data != "[DONE]"]


def test_what_is_asked_for_comes_from_path_and_body() -> None:
    assert asked("/v1/inference/stream", max_tokens=3) == Ask("native", MODEL, 3, stream=True)
    assert asked("/v1/inference", return_tokens=True) == Ask("native", MODEL, TOKENS, stream=False, ids=True)
    body = {"model": "m", "max_completion_tokens": 4, "stream": True, "stream_options": {"include_usage": True}}
    assert asked("/v1/chat/completions", **body) == Ask("chat", "m", 4, stream=True, usage=True)
    assert asked("/v1/completions", stream_options=None).stream is False
    assert read_ask("/v1/elsewhere", b"") is None


@pytest.mark.parametrize("body", [b"", b"[]", b'{"max_tokens": -1}', b'{"max_tokens": "many"}', b"\xff"])
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_ask("/v1/completions", body)


@pytest.mark.parametrize("api", ["native", "completions", "chat"])
def test_each_token_is_an_event_of_its_own_and_has_its_id_where_asked(api: Any) -> None:
    plain = payloads(Ask(api, MODEL, 5, stream=True))
    with_ids = payloads(Ask(api, MODEL, 5, stream=True, ids=True))
    assert len(plain) == len(with_ids) == {"native": 6, "completions": 6, "chat": 7}[api]
    found = [one.get("tokens") or (one.get("choices") or [{}])[0].get("tokens") for one in with_ids]
    assert [ids for ids in found if ids] == [[at] for at in range(5)]
    assert '"tokens":' not in json.dumps(plain)


def test_a_stream_of_openais_ends_with_its_counts_only_where_asked() -> None:
    counted = payloads(Ask("completions", MODEL, 5, stream=True, usage=True))
    assert counted[-1]["choices"] == []
    assert counted[-1]["usage"]["completion_tokens"] == 5
    assert all("usage" not in one for one in payloads(Ask("completions", MODEL, 5, stream=True)))


def test_no_token_has_anothers_text() -> None:
    assert text(3) == " t0 t1 t2"
    assert json.loads(whole(Ask("native", MODEL, 3, stream=False)))["text"] == text(3)
