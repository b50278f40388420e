"""Bad input at the edge: refused in our own words before any of it reaches a backend."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.edge_bad_values import ENDPOINTS
from support.fake_upstream import FakeUpstream, fake_upstream
from support.process import ServiceProcess, console_script, running
from support.raw import RawClient, request
from support.refusal import refusal
from support.system import edge_environment

MAX_BODY = 2_000_000
# A backend is asked for these; anything else of this module must not reach it.
COMPLETIONS = [path for path in ENDPOINTS if path != "/v1/condense"]


@dataclass
class Edge:
    """An edge, and a backend that takes note of what it is asked."""

    process: ServiceProcess
    backend: FakeUpstream
    client: httpx.Client

    def post(self, path: str, body: bytes) -> httpx.Response:
        return self.client.post(path, content=body, headers={"content-type": "application/json"})

    def asked(self) -> list[bytes]:
        """First lines of what reached the backend, its list of models left out."""
        lines = [asked.partition(b"\r\n")[0] for asked in self.backend.requests]
        return [line for line in lines if not line.startswith(b"GET /v1/models")]

    def ignored(self) -> float:
        lines = self.client.get("/metrics").text.splitlines()
        return float(next(line for line in lines if line.startswith("cerebrum_edge_ignored_fields_total")).split()[1])


def refuses(connection: socket.socket) -> None:
    body = b'{"error": {"code": "invalid_request", "message": "it reached the backend"}}'
    connection.sendall(b"HTTP/1.1 400 Bad\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with (
        fake_upstream(refuses) as backend,
        running([console_script("cerebrum-edge")], edge_environment(backend.url, MAX_BODY_BYTES=str(MAX_BODY))) as edge,
        httpx.Client(base_url=edge.url, timeout=60, trust_env=False) as client,
    ):
        yield Edge(edge, backend, client)


@pytest.fixture
def edge(shared: Edge) -> Iterator[Edge]:
    """After each test: nothing went upstream, and the process is the one that it was."""
    shared.backend.requests.clear()
    yield shared
    assert shared.asked() == []
    assert shared.process.process.poll() is None
    assert shared.client.get("/health").json()["status"] == "ok"
    assert "unexpected error" not in shared.process.log


def with_field(path: str, name: str, value: str) -> bytes:
    """The endpoint's smallest good body, one field of it replaced."""
    body = {key: json.dumps(one) for key, one in ENDPOINTS[path][0].items()} | {name: value}
    return ("{" + ", ".join(f"{json.dumps(key)}: {one}" for key, one in body.items()) + "}").encode()


@pytest.mark.parametrize("path", ENDPOINTS)
def test_every_bad_value_is_refused_by_its_fields_name(edge: Edge, path: str) -> None:
    wrong = []
    for name, values in ENDPOINTS[path][1].items():
        for value in values:
            answer = edge.post(path, with_field(path, name, value))
            try:
                error = refusal(answer)
                assert str(error["param"]).split(".")[0] == name, answer.text[:300]
                assert answer.status_code == (404 if error["code"] == "model_not_found" else 422), answer.text[:300]
            except AssertionError as exc:
                wrong.append((name, value[:80], str(exc)[:300]))
    assert wrong == [], "\n".join(map(str, wrong))


@pytest.mark.parametrize("path", ENDPOINTS)
def test_missing_field_is_named(edge: Edge, path: str) -> None:
    for name in ENDPOINTS[path][0]:
        body = {key: one for key, one in ENDPOINTS[path][0].items() if key != name}
        error = refusal(edge.post(path, json.dumps(body).encode()))
        assert (error["param"], error["message"]) == (name, f"{name}: Field required")


DEEP = 100_000
BODIES = {
    "empty": b"",
    "blank": b"   ",
    "no object": b"[]",
    "a number": b"7",
    "null": b"null",
    "cut": b'{"prompt": "x"',
    "trailing": b'{"prompt": "x"} x',
    "invalid UTF-8": b'{"prompt": "\xff\xfe"}',
    "a cut character": b'{"prompt": "\xf0\x9f"}',
    "deep lists": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep inside a field": b'{"prompt": "x", "messages": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep inside an unknown field": b'{"prompt": "x", "nothing": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "half a character as a field": b'{"prompt": "x", "messages": [], "input_prefix": "", "\\ud83d": 1}',
}


@pytest.mark.parametrize("path", ENDPOINTS)
def test_body_that_is_no_request_is_refused(edge: Edge, path: str) -> None:
    for what, body in BODIES.items():
        answer = edge.post(path, body)
        assert answer.status_code in (400, 422), (what, answer.text[:300])
        refusal(answer)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_body_that_does_not_say_that_it_is_json_is_refused(edge: Edge, kind: str) -> None:
    answer = edge.client.post("/v1/complete", content=b'{"prompt": "x"}', headers={"content-type": kind})
    assert refusal(answer)["code"] == "invalid_request"


@pytest.mark.parametrize("path", ENDPOINTS)
def test_body_that_is_too_large_is_a_413(edge: Edge, path: str) -> None:
    assert refusal(edge.post(path, b" " * (MAX_BODY + 1)))["code"] == "prompt_too_large"
    with RawClient(edge.process.port) as client:
        client.send(request(path, headers=("Transfer-Encoding: chunked",)).replace(b"Content-Length: 0\r\n", b""))
        part = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        for _ in range(MAX_BODY // 0x10000 + 1):
            client.send(part)
        answer = client.answer()
    assert (answer.status, answer.code) == (413, "prompt_too_large")


TEXTS = {
    "/v1/complete": {"prompt": "x"},
    "/v1/complete/stream": {"prompt": "x"},
    "/v1/condense": {"prompt": "x"},
    "/v1/completions": {"prompt": "x", "suffix": "y"},
    "/v1/chat/completions": {"messages": "x"},
    "/infill": {"input_prefix": "x"},
}


@pytest.mark.parametrize("path", TEXTS)
def test_prompt_with_more_characters_than_allowed_is_a_413(edge: Edge, path: str) -> None:
    for name in TEXTS[path]:
        long = "x" * 400_001
        value: Any = [{"role": "user", "content": long}] if name == "messages" else long
        error = refusal(edge.post(path, with_field(path, name, json.dumps(value))))
        assert error["code"] == "prompt_too_large"
        assert error["param"] in ENDPOINTS[path][0]
        assert "400000 are allowed" in error["message"]


@pytest.mark.parametrize("path", COMPLETIONS)
def test_unknown_model_is_told_what_there_is(edge: Edge, path: str) -> None:
    answer = edge.post(path, with_field(path, "model", '"gpt-9"'))
    error = refusal(answer)
    assert (answer.status_code, error["code"], error["param"]) == (404, "model_not_found", "model")
    assert error["message"] == "There is no model 'gpt-9'; available are: m."


@pytest.mark.parametrize("path", ENDPOINTS)
def test_unknown_fields_are_ignored_and_counted(shared: Edge, path: str) -> None:
    """Whatever is in them: the request is a good one, and the backend is asked without them."""
    shared.backend.requests.clear()
    unknown = {"nothing": {"a": [None, 1e300]}, "__proto__": "\ud83d", "id_slot": -1}
    before = shared.ignored()
    answer = shared.post(path, json.dumps({**ENDPOINTS[path][0], **unknown}).encode())
    assert shared.ignored() - before == len(unknown)
    assert answer.status_code == (200 if path == "/v1/condense" else 400)
    if path in COMPLETIONS:
        (asked,) = [one for one in shared.backend.requests if one.startswith(b"POST")]
        assert not unknown.keys() & json.loads(asked.partition(b"\r\n\r\n")[2]).keys()


@pytest.mark.parametrize("path", ["/complete", "/v1/inference", "/v2/complete", "/v1/chat", "/v1/complete/x"])
def test_unknown_path_is_a_404(edge: Edge, path: str) -> None:
    assert refusal(edge.post(path, b"{}"))["code"] == "not_found"


@pytest.mark.parametrize("path", ENDPOINTS)
def test_wrong_method_is_a_405_that_says_which_is_right(edge: Edge, path: str) -> None:
    answer = edge.client.get(path)
    assert (refusal(answer)["code"], answer.headers["allow"]) == ("method_not_allowed", "POST")


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_two_bad_fields_at_once(edge: Edge, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(ENDPOINTS)))
    good, fields = ENDPOINTS[path]
    names = data.draw(st.lists(st.sampled_from(sorted(fields)), min_size=2, max_size=3, unique=True))
    body = {key: json.dumps(one) for key, one in good.items()}
    body |= {name: data.draw(st.sampled_from(fields[name])) for name in names}
    text = ", ".join(f"{json.dumps(name)}: {value}" for name, value in body.items())
    refusal(edge.post(path, f"{{{text}}}".encode()))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(path=st.sampled_from(sorted(ENDPOINTS)), data=st.data())
def test_any_json_in_any_field_never_fails_inside(shared: Edge, path: str, data: st.DataObject) -> None:
    """Some of it is good: then it is the backend that refuses."""
    name = data.draw(st.sampled_from(sorted(ENDPOINTS[path][1])))
    answer = shared.post(path, with_field(path, name, json.dumps(data.draw(JSON))))
    if answer.status_code != 200:
        refusal(answer)


@pytest.mark.parametrize("depth", [200, 248, 249, 250, 251, 252, 253, 254, 255, 256, 260])
def test_depth_at_which_json_is_refused_is_no_cliff(shared: Edge, depth: int) -> None:
    """What is let through by the check can be written for the backend, too."""
    nested = '{"a": ' * depth + "1" + "}" * depth
    for body in (
        f'{{"messages": [{{"role": "user", "content": "x"}}], "tools": [{nested}]}}',
        f'{{"messages": [{{"role": "assistant", "content": "x", "tool_calls": [{nested}]}}]}}',
        f'{{"messages": [{{"role": "user", "content": "x"}}], "response_format": {nested}}}',
    ):
        refusal(shared.post("/v1/chat/completions", body.encode()))
