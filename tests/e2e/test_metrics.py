"""The pages that Prometheus gets of both services: each completion counted once, and nothing that its lint refuses."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from cerebrum_edge.outcomes import DIALECTS, OUTCOMES
from support.fake_upstream import CLOSE_DELIMITED, DONE, fake_upstream, token
from support.inference import TINY, Inference, running_inference, tiny_row
from support.process import ServiceProcess, console_script, running
from support.prometheus import promtool
from support.raw import RawClient, request
from support.system import LONG_CONTEXT, MODELS, System, edge_environment
from support.waiting import eventually

EDGE = [console_script("cerebrum-edge")]
CHAT = {"messages": [{"role": "user", "content": "add two numbers"}], "max_tokens": 6}
FILL = {"input_prefix": "def add(a, b):\n", "input_suffix": "\n", "n_predict": 4}
PROMPT = {"prompt": "def add(a, b):\n", "max_tokens": 6}
MOST_SERIES = 2000
CANARY = "canary_of_a_client"


def page(url: str, key: str | None = None) -> str:
    headers = {} if key is None else {"x-api-key": key}
    answer = httpx.get(f"{url}/metrics", headers=headers, timeout=30, trust_env=False)
    assert answer.status_code == 200
    return answer.text


def post(url: str, path: str, body: dict[str, Any]) -> httpx.Response:
    return httpx.post(url + path, json=body, timeout=60, trust_env=False)


def families(text: str) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def completions(url: str) -> dict[tuple[str, str], float]:
    rows = families(page(url))["cerebrum_edge_completions"].samples
    return {(row.labels["dialect"], row.labels["outcome"]): row.value for row in rows}


def series(text: str) -> int:
    return sum(not line.startswith("#") for line in text.splitlines())


def value(text: str, name: str, **labels: str) -> float:
    rows = (row for family in families(text).values() for row in family.samples)
    return next(row.value for row in rows if row.name == name and row.labels == labels)


@contextlib.contextmanager
def counted(url: str, dialect: str, outcome: str) -> Iterator[None]:
    """The block is one completion that ends like that, and is counted as that alone."""
    before = completions(url)
    yield
    expected = {**before, (dialect, outcome): before[dialect, outcome] + 1}
    eventually(lambda: completions(url) != before, f"{dialect} {outcome} is counted")
    assert completions(url) == expected


def test_all_children_are_there_before_the_first_request(own_system: System) -> None:
    found = completions(own_system.edge.url)
    assert found == {(dialect, outcome): 0 for dialect in set(DIALECTS.values()) for outcome in OUTCOMES}
    text = page(own_system.inference.url, own_system.key)
    assert value(text, "cerebrum_inference_request_tokens_per_second_count", model=TINY) == 0
    assert value(text, "cerebrum_inference_model_available", model=TINY) == 1
    assert value(text, "cerebrum_inference_ready") == 1


@pytest.mark.parametrize(
    ("path", "body", "dialect"),
    [
        ("/v1/complete", PROMPT, "native"),
        ("/v1/complete", {**PROMPT, "max_tokens": 300}, "native"),
        ("/v1/complete/stream", PROMPT, "native"),
        ("/v1/chat/completions", CHAT, "chat"),
        ("/v1/chat/completions", {**CHAT, "stream": True}, "chat"),
        ("/chat/completions", CHAT, "chat"),
        ("/v1/completions", PROMPT, "completions"),
        ("/completions", {**PROMPT, "stream": True}, "completions"),
        ("/infill", FILL, "infill"),
        ("/v1/infill", FILL, "infill"),
    ],
)
def test_answers_that_end_well(system: System, path: str, body: dict[str, Any], dialect: str) -> None:
    def sums() -> list[float]:
        text = page(system.edge.url)
        names = ("completion", "overhead", "queue_wait")
        return [value(text, f"cerebrum_edge_{name}_seconds_count") for name in names]

    before = sums()
    with counted(system.edge.url, dialect, "ok"):
        assert post(system.edge.url, path, body).status_code == 200
    assert [now - then for now, then in zip(sums(), before, strict=True)] == [1, 1, 1]


def test_tokens_of_a_stream_are_timed(system: System) -> None:
    def counts() -> tuple[float, float]:
        text = page(system.edge.url)
        first = value(text, "cerebrum_edge_time_to_first_token_seconds_count")
        return first, value(text, "cerebrum_edge_inter_token_seconds_count")

    before = counts()
    pieces = post(system.edge.url, "/v1/complete/stream", {**PROMPT, "max_tokens": 40}).text.count('"token"')
    first, gaps = (now - then for now, then in zip(counts(), before, strict=True))
    assert first == 1
    assert 1 <= gaps <= pieces - 1, "tokens that came together are one piece"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/complete", {"prompt": ""}, 422),
        ("/v1/complete/stream", {"prompt": "x", "model": "nobody-has-it"}, 404),
        ("/v1/complete", {"prompt": "x" * 400_001}, 413),
    ],
)
def test_errors_of_the_caller(system: System, path: str, body: dict[str, Any], status: int) -> None:
    with counted(system.edge.url, "native", "caller_error"):
        assert post(system.edge.url, path, body).status_code == status


def test_a_client_that_leaves_in_mid_stream(system: System) -> None:
    left = value(page(system.edge.url), "cerebrum_edge_client_disconnects_total")
    body = json.dumps({"prompt": "def f(", "max_tokens": LONG_CONTEXT, "ignore_eos": True}).encode()
    with counted(system.edge.url, "native", "disconnected"), RawClient(system.edge.port) as client:
        client.send(request("/v1/complete/stream", body))
        client.read_until(b'"token"')
    assert value(page(system.edge.url), "cerebrum_edge_client_disconnects_total") == left + 1


def two_tokens(connection: socket.socket) -> None:
    connection.sendall(CLOSE_DELIMITED + token("a", 1) + token("b", 2))


def two_tokens_and_silence(connection: socket.socket) -> None:
    two_tokens(connection)
    connection.recv(1)


def nothing(connection: socket.socket) -> None:
    connection.recv(1)


def status(line: str, code: str) -> Callable[[socket.socket], None]:
    body = json.dumps({"error": {"message": "No.", "code": code}}).encode()
    head = f"HTTP/1.1 {line}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    return lambda connection: connection.sendall(head + body)


@pytest.mark.parametrize(
    ("behaviour", "outcome", "code"),
    [
        (two_tokens, "upstream_error", 200),
        (two_tokens_and_silence, "upstream_timeout", 200),
        (nothing, "upstream_timeout", 504),
        (status("500 Oops", "internal"), "upstream_error", 502),
        (status("401 No", "unauthorized"), "upstream_error", 502),
        (status("503 Busy", "overloaded"), "overloaded", 503),
        (status("503 No", "model_unusable"), "upstream_error", 503),
        (status("504 Late", "deadline_exceeded"), "upstream_timeout", 504),
    ],
)
def test_faults_of_a_backend(behaviour: Callable[[socket.socket], None], outcome: str, code: int) -> None:
    times: dict[str, str] = {"RESUME_TIMEOUT": "0.1", "IDLE_TIMEOUT": "0.3", "FIRST_BYTE_TIMEOUT": "0.3"}
    with fake_upstream(behaviour) as fake, running(EDGE, edge_environment(fake.url, key_file=None, **times)) as edge:
        with counted(edge.url, "native", outcome):
            assert post(edge.url, "/v1/complete/stream", PROMPT).status_code == code
        assert value(page(edge.url), "cerebrum_edge_completion_seconds_count") == 0


def test_no_backend_at_all() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    settings = edge_environment(url, READY_TIMEOUT="0")
    with running(EDGE, settings, ready=False) as edge:
        edge.wait_for("READY=1")
        with counted(edge.url, "completions", "upstream_unavailable"):
            assert post(edge.url, "/v1/completions", PROMPT).status_code == 503
        text = page(edge.url)
    assert (value(text, "cerebrum_edge_ready"), value(text, "cerebrum_edge_draining")) == (0, 0)


class Held:
    """A backend whose answers come when a test says so."""

    def __init__(self) -> None:
        self.asked, self.go_on = threading.Event(), threading.Event()

    def __call__(self, connection: socket.socket) -> None:
        self.asked.set()
        assert self.go_on.wait(30)
        connection.sendall(CLOSE_DELIMITED + token("a", 1) + DONE)


@contextlib.contextmanager
def holding(**settings: str) -> Iterator[tuple[Held, ServiceProcess]]:
    held = Held()
    with fake_upstream(held) as fake, running(EDGE, edge_environment(fake.url, key_file=None, **settings)) as edge:
        try:
            yield held, edge
        finally:
            held.go_on.set()


def in_background(edge: ServiceProcess) -> threading.Thread:
    thread = threading.Thread(target=post, args=(edge.url, "/v1/complete/stream", PROMPT))
    thread.start()
    return thread


def test_waiting_in_the_queue_and_for_a_backend_is_no_overhead() -> None:
    with holding(MAX_INFLIGHT="1", MAX_QUEUE="1") as (held, edge):
        first = in_background(edge)
        assert held.asked.wait(10)
        second = in_background(edge)
        eventually(lambda: value(page(edge.url), "cerebrum_edge_queue_depth") == 1, "the second one waits")
        with counted(edge.url, "native", "overloaded"):
            assert post(edge.url, "/v1/complete", PROMPT).status_code == 503
        first.join(1)  # time goes by, of which nothing is the edge's own
        assert first.is_alive()
        held.go_on.set()
        first.join()
        second.join()
        text = page(edge.url)
    assert value(text, "cerebrum_edge_shed_total", reason="queue_full") == 1
    waited = value(text, "cerebrum_edge_queue_wait_seconds_sum")
    assert waited > 0.5
    assert value(text, "cerebrum_edge_queue_wait_seconds_count") == 2
    assert value(text, "cerebrum_edge_time_to_first_token_seconds_sum") > 1
    assert value(text, "cerebrum_edge_overhead_seconds_count") == 2
    assert value(text, "cerebrum_edge_overhead_seconds_sum") < waited


def test_a_drain_that_runs_out_of_time_says_so() -> None:
    with holding(DRAIN_SECONDS="1") as (held, edge):
        asked = in_background(edge)
        assert held.asked.wait(10)
        edge.process.send_signal(signal.SIGTERM)
        asked.join()
        assert edge.process.wait(20) == 0
        rows = [json.loads(line) for line in edge.log.splitlines() if line.startswith("{")]
    assert [row["outcome"] for row in rows if row.get("route") == "/v1/complete/stream"] == ["shutting_down"]


def test_promtool_finds_nothing_and_no_client_is_in_a_label(system: System) -> None:
    for path, body in (("/v1/complete", PROMPT), ("/v1/chat/completions", CHAT), ("/infill", FILL)):
        post(system.edge.url, path, {**body, "user": CANARY})
        post(system.edge.url, path, {**body, "model": CANARY})
    for url in (system.edge.url, system.inference.url):
        httpx.request(CANARY.upper(), f"{url}/{CANARY}?{CANARY}", headers={"x-request-id": CANARY}, trust_env=False)
    for name, text in (
        ("edge", page(system.edge.url)),
        ("inference", page(system.inference.url, system.key)),
    ):
        checked = promtool("check", "metrics", input=text)
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", ""), name
        assert CANARY not in text.lower()
        assert ":" not in "".join(family.name for family in text_string_to_metric_families(text))
        assert series(text) <= MOST_SERIES
        assert f"cerebrum_{name}_ready 1.0" in text


def test_promtool_would_find_something() -> None:
    checked = promtool("check", "metrics", input="# HELP a:b_seconds Text.\n# TYPE a:b_seconds gauge\na:b_seconds 1\n")
    assert (checked.returncode, checked.stdout) == (3, "")
    assert checked.stderr == "a:b_seconds metric names should not contain ':'\n"


def test_an_edge_of_as_many_backends_as_may_be_has_no_more_series_than_allowed(system: System) -> None:
    urls = [system.inference.url] * 64
    with running(EDGE, edge_environment(*urls, key_file=Path(system.edge.log_file).parent / "none")) as edge:
        for path in [
            *DIALECTS,
            "/v1/condense",
            "/v1/models",
            "/models",
            "/v1/stats",
            "/v1/doctor",
            "/openapi.json",
            "/",
        ]:
            for method in ("GET", "POST", "PUT"):
                httpx.request(method, edge.url + path, json={"prompt": ""}, timeout=60, trust_env=False)
        text = page(edge.url)
    assert 1000 < series(text) <= MOST_SERIES


def test_a_service_of_twenty_models_has_no_more_series_than_allowed(tmp_path: Path) -> None:
    rows = [tiny_row(id=TINY if number == 0 else f"model_{number}") for number in range(20)]
    manifest = tmp_path / "many.yml"
    manifest.write_text(yaml.safe_dump({"store": str(MODELS), "models": rows}), encoding="utf-8")
    with running_inference(tmp_path, MANIFEST=str(manifest)) as service:
        for path in (
            "/v1/inference",
            "/v1/inference/stream",
            "/v1/completions",
            "/v1/chat/completions",
            "/v1/tokenize",
        ):
            for body in ({"prompt": "def "}, {}, {"prompt": "def ", "messages": [], "text": "def ", "stream": True}):
                service.ask(path, body)
        for path in ("/v1/models", "/v1/stats", "/v1/slots", "/health", "/ready", "/nowhere", "/openapi.json"):
            service.ask(path)
        for model in ("model_1", "model_19"):
            assert service.ask("/v1/inference", {**PROMPT, "max_tokens": 9, "model": model}).status_code == 200
        text = page(service.process.url, service.key)
    assert 1000 < series(text) <= MOST_SERIES
    own = {row.labels["model"] for row in families(text)["cerebrum_inference_generation_seconds"].samples}
    assert own == {TINY, "model_1", "model_2", "model_3", "model_4", "model_5", "other"}
    assert value(text, "cerebrum_inference_generation_seconds_count", model="model_1") == 1
    assert value(text, "cerebrum_inference_generation_seconds_count", model="other") == 1
    assert value(text, "cerebrum_inference_generations_total", model="model_19", outcome="length") == 1


def test_speed_is_observed_of_generations_long_enough_to_have_one(inference: Inference) -> None:
    def observed() -> float:
        text = page(inference.process.url, inference.key)
        return value(text, "cerebrum_inference_request_tokens_per_second_count", model=TINY)

    before = observed()
    for tokens, more in ((7, 0), (8, 1), (20, 1)):
        body = {"prompt": "def f(", "max_tokens": tokens, "ignore_eos": True}
        assert inference.ask("/v1/inference", body).json()["total_tokens"] == tokens
        assert observed() == before + more
        before = observed()


def test_a_model_is_available_while_its_file_is_there_and_not_refused(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    whole = (MODELS / tiny_row()["file"]).read_bytes()
    (store / tiny_row()["file"]).write_bytes(whole)
    (store / "other.gguf").write_bytes(whole[:1000])
    manifest = tmp_path / "two.yml"
    other = tiny_row(id="other", file="other.gguf")
    manifest.write_text(yaml.safe_dump({"store": str(store), "models": [tiny_row(), other]}), encoding="utf-8")
    with running_inference(tmp_path, MANIFEST=str(manifest)) as service:

        def available() -> float:
            text = page(service.process.url, service.key)
            return value(text, "cerebrum_inference_model_available", model="other")

        assert available() == 1, "nobody has tried it"
        assert service.ask("/v1/inference", {**PROMPT, "model": "other"}).status_code == 503
        assert available() == 0, "it was refused"
        (store / "other.gguf").write_bytes(whole)
        assert available() == 1, "it is another one now"
        (store / "other.gguf").unlink()
        assert available() == 0, "it is gone"
