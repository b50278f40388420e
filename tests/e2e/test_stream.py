"""A prompt's way through both services and back, as processes that talk over loopback."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from support.raw import RawClient, request
from support.system import LONG_CONTEXT, System
from support.waiting import eventually


def events_of(text: str) -> list[dict[str, object]]:
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]


def post(system: System, path: str, body: dict[str, object], **headers: str) -> httpx.Response:
    return httpx.post(f"{system.edge.url}{path}", json=body, headers=headers, timeout=60, trust_env=False)


def long_stream(system: System, **more: object) -> bytes:
    body = {"prompt": "def fibonacci(n):", "max_tokens": LONG_CONTEXT, "temperature": 0, **more}
    return request("/v1/complete/stream", json.dumps(body).encode())


def generated(system: System) -> float:
    line = next(
        line
        for line in system.ask("/metrics").text.splitlines()
        if line.startswith("cerebrum_inference_generated_tokens_total")
    )
    return float(line.split()[-1])


def test_stream_and_whole_answer_are_the_same_text(system: System) -> None:
    body: dict[str, object] = {"prompt": "def fibonacci(n):", "max_tokens": 40, "temperature": 0}
    streamed = post(system, "/v1/complete/stream", body)
    *tokens, done = events_of(streamed.text)
    whole = post(system, "/v1/complete", body).json()

    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert "".join(str(event["token"]) for event in tokens) == whole["text"] != ""
    assert [event["total_tokens"] for event in tokens] == sorted(event["total_tokens"] for event in tokens)  # type: ignore[type-var]
    assert done["total_tokens"] == whole["total_tokens"] == 40
    for facts in (done, whole):
        assert (facts["model"], facts["language"], facts["finish_reason"]) == ("cerebrum-tiny", "python", "length")
        assert facts["resumed"] == 0
        assert set(facts) >= {"inference_time", "tokens_per_second"}


def test_request_id_is_in_both_services_logs(system: System) -> None:
    answer = post(system, "/v1/complete", {"prompt": "x", "max_tokens": 2}, **{"x-request-id": "trace-e2e-1"})
    assert answer.headers["x-request-id"] == "trace-e2e-1"
    for service in (system.edge, system.inference):
        eventually(lambda log=service: '"trace-e2e-1"' in log.log, "the request id in the log")  # type: ignore[misc]


def test_the_release_that_answers_is_named_and_counted(system: System) -> None:
    """During an upgrade two releases answer, and the edge tells how much each of a backend's does."""
    answer = post(system, "/v1/complete", {"prompt": "x", "max_tokens": 2})
    assert answer.headers["x-cerebrum-release"] == "development"
    metrics = httpx.get(f"{system.edge.url}/metrics", trust_env=False).text
    shares = [line for line in metrics.splitlines() if line.startswith("cerebrum_edge_backend_answers_total{")]
    assert len(shares) == 1
    assert 'release="development"' in shares[0]


def test_language_decides_when_it_is_given(system: System) -> None:
    answer = post(system, "/v1/complete", {"prompt": "x", "max_tokens": 1, "language": "Rust"}).json()
    assert answer["language"] == "rust"


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({}, 422, "invalid_request", "prompt"),
        ({"prompt": ""}, 422, "invalid_request", "prompt"),
        ({"prompt": "x", "max_tokens": 0}, 422, "invalid_request", "max_tokens"),
        ({"prompt": "x", "temperature": 9}, 422, "invalid_request", "temperature"),
        ({"prompt": "x", "stop": [""]}, 422, "invalid_request", "stop.0"),
        ({"prompt": "x", "model": "gpt-9"}, 404, "model_not_found", "model"),
        ({"prompt": "x " * 250_000}, 413, "prompt_too_large", "prompt"),
        ({"prompt": "word " * 40_000}, 413, "prompt_too_large", "prompt"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/complete", "/v1/complete/stream"])
def test_bad_request_is_a_status_that_names_the_field(
    system: System, path: str, body: dict[str, object], status: int, code: str, param: str
) -> None:
    answer = post(system, path, body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)


def test_health_and_stats_answer_while_every_slot_generates(system: System) -> None:
    with RawClient(system.edge.port) as one, RawClient(system.edge.port) as two:
        for client in (one, two):
            client.send(long_stream(system))
            client.read_until(b'"total_tokens":3')
        assert system.slots_busy() == 2
        for url in (system.edge.url, system.inference.url):
            assert httpx.get(f"{url}/health", trust_env=False).json()["status"] == "ok"
        stats = httpx.get(f"{system.edge.url}/v1/stats", trust_env=False).json()
        assert (stats["requests_active"], stats["vps_available"]) == (2, True)
        # They were all answered in the middle of both streams, not after them.
        assert system.slots_busy() == 2
    eventually(lambda: system.slots_busy() == 0, "free slots")


@pytest.mark.parametrize("path", ["/v1/complete/stream", "/v1/complete"])
def test_client_that_leaves_stops_the_generation(system: System, path: str) -> None:
    before = generated(system)
    with RawClient(system.edge.port) as client:
        client.send(long_stream(system).replace(b"/v1/complete/stream", path.encode()))
        eventually(lambda: system.slots_busy() == 1, "a busy slot")
    eventually(lambda: system.slots_busy() == 0, "a free slot")
    assert generated(system) - before < LONG_CONTEXT / 2


def test_models_are_listed_natively_and_for_openai_clients(system: System) -> None:
    listing = httpx.get(f"{system.edge.url}/v1/models", trust_env=False).json()
    assert [row["id"] for row in listing["models"]] == [row["id"] for row in listing["data"]] == ["cerebrum-tiny"]
    assert listing["object"] == "list"
    assert set(listing["models"][0]) == {"id", "name", "languages", "loaded", "context"}


def test_edge_describes_itself_and_its_backend(system: System) -> None:
    root = httpx.get(system.edge.url, trust_env=False).json()
    assert root["service"] == "cerebrum-edge"
    for method in ("GET", "POST"):
        health = httpx.request(method, f"{system.edge.url}/v1/vps/health", trust_env=False).json()
        assert (health["available"], health["health"]["service"]) == (True, "inference")
    for endpoint in root["endpoints"]:
        verb, path = endpoint.split()
        answer = httpx.request(verb, f"{system.edge.url}{path}", trust_env=False)
        assert answer.status_code not in (404, 405), endpoint


def test_keys_prompts_and_answers_are_in_no_log_and_no_environment(system: System) -> None:
    marker = "canary_in_the_prompt"
    answer = post(system, "/v1/complete", {"prompt": f"def {marker}():", "max_tokens": 4}).json()
    assert answer["total_tokens"] == 4
    for service in (system.edge, system.inference):
        process = Path(f"/proc/{service.process.pid}")
        seen = service.log.encode() + (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
        assert marker.encode() not in seen
        assert system.key.encode() not in seen
