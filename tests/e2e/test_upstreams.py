"""The edge before a server that is not ours, on that server's bad days."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from support.fake_openai import NAME, Asked, FakeOpenAI, delta, fake_openai, piece, usage
from support.fake_upstream import reset
from support.process import ServiceProcess, console_script, running
from support.raw import RawClient, request

TEXT = ["def", " f", "(x", "):", " pass"]


@contextlib.contextmanager
def edge_before(*fakes: FakeOpenAI, key_file: Path | None = None, **settings: str) -> Iterator[ServiceProcess]:
    """An edge whose only backends are these, known to its clients as `coder`."""
    key = {} if key_file is None else {"api_key_file": str(key_file)}
    rows = [
        {"name": f"gpu{at}", "kind": "openai", "url": f"{fake.url}/v1", "models": {"coder": NAME}, **key}
        for at, fake in enumerate(fakes)
    ]
    environment = {"CEREBRUM_EDGE_BACKENDS": json.dumps(rows)}
    environment |= {f"CEREBRUM_EDGE_{name}": value for name, value in settings.items()}
    with running([console_script("cerebrum-edge")], environment) as edge:
        yield edge


def post(edge: ServiceProcess, path: str, **body: Any) -> httpx.Response:
    return httpx.post(f"{edge.url}{path}", json=body, timeout=30, trust_env=False)


def events(text: str) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def native(edge: ServiceProcess) -> list[dict[str, Any]]:
    return events(post(edge, "/v1/complete/stream", prompt="p", max_tokens=20).text)


def said(found: list[dict[str, Any]]) -> str:
    return "".join(one.get("token", "") + "".join(c["text"] for c in one.get("choices", ())) for one in found)


def metric(edge: ServiceProcess, name: str) -> float:
    lines = httpx.get(f"{edge.url}/metrics", trust_env=False).text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


def healthy(one: Asked) -> None:
    """Goes on behind whatever of the text the prompt holds already, and ends as it should."""
    one.begin()
    text = "".join(TEXT)[len(one.body["prompt"]) - 1 :]
    one.say(piece(text), piece("", "stop"), usage(len(one.body["prompt"]), 1))
    one.end()


def begun(one: Asked) -> None:
    one.begin()
    one.say(*(piece(text) for text in TEXT[:3]))


def cut_in_a_chunk(one: Asked) -> None:
    begun(one)
    one.connection.sendall(b"40\r\ndata: {")
    reset(one.connection)


def stalled(one: Asked) -> None:
    begun(one)
    one.wait_for_client_to_leave()


def failed(one: Asked) -> None:
    begun(one)
    one.say({"error": {"message": "engine died", "type": "InternalServerError", "code": 500}})


def ended_without_a_reason(one: Asked) -> None:
    begun(one)
    one.end()


def given_up(one: Asked) -> None:
    begun(one)
    one.say(piece(" no", "abort"))


FAULTS = [cut_in_a_chunk, stalled, failed, ended_without_a_reason, given_up]


@pytest.mark.parametrize("fault", FAULTS)
def test_stream_goes_on_behind_what_the_client_has(fault: Any) -> None:
    with fake_openai(fault, healthy) as fake, edge_before(fake, IDLE_TIMEOUT="0.5") as edge:
        found = native(edge)
        assert said(found) == "".join(TEXT)
        assert (found[-1]["finish_reason"], found[-1]["resumed"]) == ("stop", 1)
        assert [one["total_tokens"] for one in found] == [1, 2, 3, 4, 4]
        again = fake.asked[1].body
        assert (again["prompt"], again["max_tokens"]) == ("pdef f(x", 17)
        assert metric(edge, "cerebrum_edge_stream_resumes_total") == 1


def test_completions_go_on_at_another_server() -> None:
    faults = [cut_in_a_chunk]

    def turn(one: Asked) -> None:
        (faults.pop() if faults else healthy)(one)

    with fake_openai(turn) as one, fake_openai(turn) as other:
        with edge_before(one, other) as edge:
            found = events(post(edge, "/v1/completions", prompt="p", stream=True).text)
        assert said(found) == "".join(TEXT)
        assert {row["id"] for row in found} == {"cmpl-x"}
        assert [len(one.asked), len(other.asked)] == [1, 1]


def test_whole_answer_is_streamed_and_survives_too() -> None:
    with fake_openai(cut_in_a_chunk, healthy) as fake, edge_before(fake) as edge:
        answer = post(edge, "/v1/complete", prompt="p", max_tokens=20).json()
        assert (answer["text"], answer["resumed"], answer["model"]) == ("".join(TEXT), 1, "coder")
        completion = post(edge, "/v1/completions", prompt="p", max_tokens=20).json()
        assert completion["choices"][0]["text"] == "".join(TEXT)
        assert completion["usage"]["total_tokens"] == 2
        assert all(one.body["stream"] for one in fake.asked)


def chat_then_cut(one: Asked) -> None:
    one.begin()
    one.say(delta(role="assistant", content=""), delta(content="Hello"))
    reset(one.connection)


def call_then_cut(one: Asked) -> None:
    one.begin()
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a'}}
    one.say(delta(role="assistant", content=None), delta(tool_calls=[call]))
    reset(one.connection)


@pytest.mark.parametrize("fault", [chat_then_cut, call_then_cut])
def test_chat_that_was_cut_ends_with_an_error_and_is_not_begun_anew(fault: Any) -> None:
    with fake_openai(fault) as fake, edge_before(fake) as edge:
        body = {"messages": [{"role": "user", "content": "hi"}], "model": "coder", "stream": True}
        text = post(edge, "/v1/chat/completions", **body).text
        assert events(text)[-1]["error"]["code"] == "upstream_error"
        assert "[DONE]" not in text
        assert len(fake.asked) == 1
        client = openai.OpenAI(base_url=f"{edge.url}/v1", api_key="x", max_retries=0)
        with client, pytest.raises(openai.APIError, match="broke"):
            list(
                client.chat.completions.create(model="coder", messages=[{"role": "user", "content": "hi"}], stream=True)
            )


def test_chat_that_had_only_its_role_is_asked_again() -> None:
    def role_then_cut(one: Asked) -> None:
        one.begin()
        one.say(delta(role="assistant", content=""))
        reset(one.connection)

    def answers(one: Asked) -> None:
        one.begin()
        one.say(delta(role="assistant", content=""), delta(content="Hello"), delta("stop"))
        one.end()

    with fake_openai(role_then_cut, answers) as fake, edge_before(fake) as edge:
        text = post(edge, "/v1/chat/completions", messages=[{"role": "user", "content": "hi"}], stream=True).text
        deltas = [row["choices"][0]["delta"] for row in events(text)]
        assert deltas == [{"role": "assistant", "content": ""}, {"content": "Hello"}, {}]
        assert text.endswith("data: [DONE]\n\n")


def test_silence_before_the_first_token_is_no_stall() -> None:
    def slow(one: Asked) -> None:
        one.begin()
        assert not one.client_leaves_within(1.2)
        healthy_rest(one)

    def healthy_rest(one: Asked) -> None:
        one.say(piece("x"), piece("", "stop"))
        one.end()

    with fake_openai(slow) as fake, edge_before(fake, IDLE_TIMEOUT="0.3", FIRST_BYTE_TIMEOUT="20") as edge:
        assert said(native(edge)) == "x"
        assert len(fake.asked) == 1


def test_answer_that_has_its_reason_is_complete_however_it_ends() -> None:
    def no_done(one: Asked) -> None:
        one.begin()
        one.say(piece("x"), piece("", "length"))
        reset(one.connection)

    with fake_openai(no_done) as fake, edge_before(fake) as edge:
        found = native(edge)
        assert (said(found), found[-1]["finish_reason"], found[-1]["resumed"]) == ("x", "length", 0)
        assert len(fake.asked) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_server_without_room_is_set_aside_for_as_long_as_it_asks(status: int) -> None:
    def full(one: Asked) -> None:
        one.refuse(status, {"error": {"message": "slow down", "code": status}}, "retry-after: 60")

    with fake_openai(full) as fake, edge_before(fake) as edge:
        for _ in range(2):
            answer = post(edge, "/v1/complete", prompt="p")
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "overloaded")
            assert 50 <= int(answer.headers["retry-after"]) <= 60
        assert len(fake.asked) == 1, "it asked for a pause"
        (backend,) = httpx.get(f"{edge.url}/v1/stats", trust_env=False).json()["backends"]
        assert (backend["kind"], backend["breaker"]["state"]) == ("openai", "closed")
    with fake_openai(full) as one, fake_openai(healthy) as other, edge_before(one, other) as edge:
        assert {said(native(edge)) for _ in range(4)} == {"".join(TEXT)}


@pytest.mark.parametrize(
    ("status", "payload", "seen", "code"),
    [
        (400, {"error": {"message": "bad words", "type": "BadRequestError", "code": 400}}, 400, "invalid_request"),
        (422, {"detail": [{"loc": ["body"], "msg": "bad words"}]}, 422, "invalid_request"),
        (400, {"object": "error", "message": "maximum context length, bad words"}, 413, "prompt_too_large"),
        (404, {"error": {"message": "The model has bad words", "code": 404}}, 404, "model_not_found"),
        (401, {"error": "bad words"}, 502, "upstream_error"),
        (500, {"error": {"message": "bad words"}}, 502, "upstream_error"),
    ],
)
def test_refusals_are_whose_they_are(status: int, payload: Any, seen: int, code: str) -> None:
    with fake_openai(lambda one: one.refuse(status, payload)) as fake, edge_before(fake, FAILURE_THRESHOLD="9") as edge:
        answer = post(edge, "/v1/complete/stream", prompt="p")
        assert (answer.status_code, answer.json()["error"]["code"]) == (seen, code)
        words = "refused the edge's key" if status == 401 else "bad words"
        assert words in answer.json()["error"]["message"]
        assert len(fake.asked) == (3 if status == 500 else 1)


def test_server_that_does_not_know_stream_options_is_asked_without_them() -> None:
    def strict(one: Asked) -> None:
        if "stream_options" in one.body:
            one.refuse(400, {"error": {"message": "Unrecognized request argument: stream_options", "code": 400}})
        else:
            healthy(one)

    with fake_openai(strict) as fake, edge_before(fake) as edge:
        assert said(native(edge)) == said(native(edge)) == "".join(TEXT)
        assert ["stream_options" in one.body for one in fake.asked] == [True, False, False]


@pytest.mark.parametrize("path", ["/v1/complete/stream", "/v1/complete", "/infill"])
def test_client_that_leaves_is_felt_at_the_server(path: str) -> None:
    with fake_openai(stalled) as fake, edge_before(fake) as edge:
        body = {"input_prefix": "p", "input_suffix": "s"} if path == "/infill" else {"prompt": "p"}
        with RawClient(edge.port) as client:
            client.send(request(path, json.dumps(body).encode()))
            fake.wait_until_asked()
        assert fake.client_gone.wait(10)
        assert metric(edge, 'cerebrum_edge_backend_failures_total{backend="gpu0"') == 0


def test_infill_is_a_completion_with_a_suffix() -> None:
    def fills(one: Asked) -> None:
        one.begin()
        one.say(piece("middle"), piece("", "stop"))
        one.end()

    with fake_openai(fills) as fake, edge_before(fake) as edge:
        answer = post(edge, "/infill", input_prefix="a", prompt="b", input_suffix="c", n_predict=8).json()
        assert (answer["content"], answer["model"]) == ("middle", "coder")
        sent = fake.asked[0].body
        assert (sent["prompt"], sent["suffix"], sent["max_tokens"], sent["model"]) == ("ab", "c", 8, NAME)


def test_key_is_shown_as_a_bearer_and_the_edges_own_is_not(tmp_path: Path) -> None:
    (tmp_path / "gpu").write_text("sk-theirs\n", encoding="utf-8")
    with fake_openai(healthy) as fake, edge_before(fake, key_file=tmp_path / "gpu", API_KEY="ours") as edge:
        native(edge)
        assert fake.keys() == {"Bearer sk-theirs"}
        assert "sk-theirs" not in edge.log
    with fake_openai(healthy) as fake, edge_before(fake, API_KEY="ours") as edge:
        native(edge)
        assert fake.keys() == set()


def test_models_are_listed_by_the_names_that_clients_know() -> None:
    with fake_openai(healthy) as fake, edge_before(fake) as edge:
        listed = httpx.get(f"{edge.url}/v1/models", trust_env=False).json()
        assert [row["id"] for row in listed["data"]] == ["coder"]
        assert listed["models"][0] | {"name": NAME, "context": 4096} == listed["models"][0]
        assert post(edge, "/v1/complete", prompt="p", model=NAME).status_code == 404
        health = httpx.get(f"{edge.url}/v1/vps/health", trust_env=False).json()
        assert health["health"] == {"status": "ok", "models": 1}
        links = httpx.get(f"{edge.url}/v1/doctor", trust_env=False).json()["backends"][0]["links"]
        assert [(link["link"], link["ok"]) for link in links] == [
            ("connect", True), ("health", True), ("key", True), ("model", True),
        ]  # fmt: skip


def test_server_without_the_model_is_a_problem_that_is_told() -> None:
    with fake_openai(healthy) as fake:
        row = {"name": "gpu", "kind": "openai", "url": fake.url, "models": {"coder": "other"}}
        environment = {"CEREBRUM_EDGE_BACKENDS": json.dumps([row]), "CEREBRUM_EDGE_READY_TIMEOUT": "0"}
        with running([console_script("cerebrum-edge")], environment) as edge:
            health = httpx.get(f"{edge.url}/health", trust_env=False).json()
            assert health["status"] == "degraded"
            assert f"lists {NAME}" in health["problem"]
            assert "none (other)" in health["problem"]
