"""What the edge's client sees when its backend fails, in every way that a real one or a hostile network can."""

from __future__ import annotations

import json
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from support.fake_upstream import CHUNKED, CLOSE_DELIMITED, DONE, FakeUpstream, chunk, fake_upstream, reset, token
from support.process import console_script, listening_socket, running
from support.raw import RawClient, request
from support.system import LONG_CONTEXT, System, edge_environment, running_system
from support.waiting import eventually

EDGE = [console_script("cerebrum-edge")]
ASK = request(
    "/v1/complete/stream", b'{"prompt": "def fibonacci(n):", "max_tokens": 8}', headers=("Connection: close",)
)
LONG = request(
    "/v1/complete/stream",
    json.dumps({"prompt": "def fibonacci(n):", "max_tokens": LONG_CONTEXT, "temperature": 0}).encode(),
    headers=("Connection: close",),
)


def stream(port: int, ask: bytes = ASK) -> tuple[int, list[dict[str, object]], bytes]:
    """The status, the events and the raw bytes of a streamed answer, up to the connection's end."""
    with RawClient(port) as client:
        client.send(ask)
        raw = client.read_to_end()
    text = raw.decode()
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
    return int(text.split()[1]), events, raw


def two_tokens(connection: socket.socket, head: bytes = CLOSE_DELIMITED) -> None:
    connection.sendall(head)
    for data in (token("a", 1), token("b", 2)):
        connection.sendall(chunk(data) if head is CHUNKED else data)


def ends_early(connection: socket.socket) -> None:
    two_tokens(connection)


def ends_early_but_well_formed(connection: socket.socket) -> None:
    two_tokens(connection, CHUNKED)
    connection.sendall(b"0\r\n\r\n")


def cut_inside_a_chunk(connection: socket.socket) -> None:
    connection.sendall(b"ff\r\ndata: {")


def cut_inside_a_character(connection: socket.socket) -> None:
    two_tokens(connection)
    connection.sendall(b'data: {"token": "\xf0\x9f')


def sends_no_utf8(connection: socket.socket) -> None:
    two_tokens(connection)
    connection.sendall(b"data: \xff\xff\n\n" + DONE)


def sends_no_json(connection: socket.socket) -> None:
    two_tokens(connection)
    connection.sendall(b"data: oops\n\n" + DONE)


def sends_bad_chunk(connection: socket.socket) -> None:
    connection.sendall(b"nonsense\r\n")


def reports_an_error(connection: socket.socket) -> None:
    two_tokens(connection)
    connection.sendall(b'data: {"error": {"message": "it broke", "code": "internal"}, "done": true}\n\n')


@pytest.mark.parametrize(
    "behaviour",
    [
        ends_early,
        ends_early_but_well_formed,
        cut_inside_a_character,
        sends_no_utf8,
        sends_no_json,
        reports_an_error,
    ],
    ids=lambda one: one.__name__,
)
def test_stream_that_fails_never_looks_whole(behaviour: Callable[[socket.socket], None]) -> None:
    with fake_upstream(behaviour) as fake, running(EDGE, edge_environment(fake.url)) as edge:
        status, events, raw = stream(edge.port)
    assert status == 200
    assert [event.get("token") for event in events[:2]] == ["a", "b"]
    assert events[-1]["done"] is True
    assert events[-1]["error"]["code"] == "upstream_error"  # type: ignore[index]
    assert sum("done" in event for event in events) == 1
    assert raw.endswith(b"0\r\n\r\n"), "the answer itself ends as HTTP wants it"


@pytest.mark.parametrize("fault", [reset, cut_inside_a_chunk, sends_bad_chunk], ids=lambda one: one.__name__)
def test_broken_connection_is_an_error_event(fault: Callable[[socket.socket], None]) -> None:
    delivered, broken = threading.Event(), threading.Event()

    def behave(connection: socket.socket) -> None:
        if broken.is_set():  # the attempts to go on
            return
        two_tokens(connection, CHUNKED)
        delivered.wait(10)  # such a fault takes with it what the peer has not read yet
        broken.set()
        fault(connection)

    with (
        fake_upstream(behave) as fake,
        running(EDGE, edge_environment(fake.url)) as edge,
        RawClient(edge.port) as client,
    ):
        client.send(ASK)
        client.read_until(b'"total_tokens":2')
        delivered.set()
        text = client.read_to_end().decode()
    assert '"code":"upstream_error"' in text
    assert text.endswith("0\r\n\r\n")


def answer_with(status: bytes, body: bytes, *headers: bytes) -> Callable[[socket.socket], None]:
    def behave(connection: socket.socket) -> None:
        lines = [b"HTTP/1.1 " + status, b"content-length: %d" % len(body), *headers]
        connection.sendall(b"\r\n".join(lines) + b"\r\n\r\n" + body)

    return behave


@pytest.mark.parametrize(
    ("behaviour", "status", "code", "retry_after"),
    [
        (answer_with(b"503 Busy", b'{"error":{"code":"overloaded"}}', b"retry-after: 7"), 503, "overloaded", "7"),
        (answer_with(b"500 Oops", b'{"error":{"code":"internal"}}'), 502, "upstream_error", None),
        (answer_with(b"502 Bad", b"<html>"), 502, "upstream_error", None),
        (answer_with(b"401 No", b'{"error":{"code":"unauthorized"}}'), 502, "upstream_error", None),
        (answer_with(b"404 No", b'{"error":{"code":"model_not_found","message":"m"}}'), 404, "model_not_found", None),
        (answer_with(b"404 No", b"<html>"), 502, "upstream_error", None),
        (answer_with(b"429 Slow", b"{}"), 502, "upstream_error", None),
        (lambda _: None, 502, "upstream_error", None),
        (lambda connection: connection.sendall(b"nonsense\r\n\r\n"), 502, "upstream_error", None),
    ],
    ids=["503", "500", "html", "401", "404", "foreign 404", "foreign 429", "closes", "no http"],
)
def test_backends_answer_becomes_a_status(
    behaviour: Callable[[socket.socket], None], status: int, code: str, retry_after: str | None
) -> None:
    with fake_upstream(behaviour) as fake, running(EDGE, edge_environment(fake.url)) as edge:
        for path in ("/v1/complete/stream", "/v1/complete"):
            answer = httpx.post(f"{edge.url}{path}", json={"prompt": "x"}, trust_env=False)
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
            assert answer.headers.get("retry-after") == retry_after


def test_silent_backend_is_given_up() -> None:
    fake: FakeUpstream

    def silent(connection: socket.socket) -> None:
        two_tokens(connection)
        fake.wait_for_client_to_leave(connection)

    with fake_upstream(silent) as fake, running(EDGE, edge_environment(fake.url, IDLE_TIMEOUT="0.3")) as edge:
        _, events, _ = stream(edge.port)
        assert events[-1]["error"]["code"] == "upstream_timeout"  # type: ignore[index]
        assert fake.client_gone.wait(10), "the connection to the silent backend is closed"


def test_keep_alive_comments_of_the_backend_are_signs_of_life() -> None:
    def slow(connection: socket.socket) -> None:
        connection.sendall(CLOSE_DELIMITED)
        for _ in range(4):
            connection.sendall(b": keep-alive\n\n")
            # Longer than half the timeout, so that only the comments can have kept the stream open.
            connection.settimeout(0.3)
            try:
                connection.recv(1)
            except TimeoutError:
                continue
        connection.sendall(token("a", 1) + DONE)

    with fake_upstream(slow) as fake, running(EDGE, edge_environment(fake.url, IDLE_TIMEOUT="0.5")) as edge:
        _, events, _ = stream(edge.port)
    assert [event.get("token") for event in events] == ["a", None]
    assert "error" not in events[-1]


def test_edge_without_a_backend_serves_and_says_so() -> None:
    closed = listening_socket()
    url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    closed.close()
    with running(EDGE, edge_environment(url, READY_TIMEOUT="0")) as edge:
        assert edge.status == "degraded: backend vps: The backend vps cannot be reached."
        answer = httpx.post(f"{edge.url}/v1/complete", json={"prompt": "x"}, trust_env=False)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "upstream_unavailable")
        assert int(answer.headers["retry-after"]) >= 1
        assert httpx.get(f"{edge.url}/health", trust_env=False).json()["status"] == "degraded"
        assert httpx.get(f"{edge.url}/ready", trust_env=False).status_code == 503
        assert httpx.get(f"{edge.url}/v1/vps/health", trust_env=False).status_code == 503


def test_wrong_key_is_the_operators_matter(tmp_path: Path) -> None:
    with running_system(tmp_path) as system:
        (tmp_path / "wrong").write_text("not-the-key", encoding="utf-8")
        environment = edge_environment(system.inference.url, key_file=tmp_path / "wrong", READY_TIMEOUT="0")
        with running(EDGE, environment) as edge:
            assert edge.status == "degraded: backend vps: The backend refused the edge's key or address."


def test_backend_that_does_not_come_back_in_time_is_an_error_event(tmp_path: Path) -> None:
    with running_system(tmp_path, edge={"RESUME_TIMEOUT": "0.5"}) as system, RawClient(system.edge.port) as client:
        client.send(LONG)
        client.read_until(b'"total_tokens":5')
        system.inference.process.kill()
        system.inference.listener.close()
        text = client.read_to_end().decode()
    last = json.loads([line for line in text.splitlines() if line.startswith("data: ")][-1][6:])
    assert (last["done"], last["error"]["code"]) == (True, "upstream_unavailable")
    assert text.endswith("0\r\n\r\n")


def test_draining_backend_without_a_successor_ends_its_stream_with_an_error_event(tmp_path: Path) -> None:
    """Its socket stays, as the service manager keeps it, and nobody accepts there."""
    with (
        running_system(tmp_path, inference={"DRAIN_SECONDS": "0.2"}, edge={"RESUME_TIMEOUT": "2"}) as system,
        RawClient(system.edge.port) as client,
    ):
        client.send(LONG)
        client.read_until(b'"total_tokens":5')
        assert system.inference.terminate() == 0
        text = client.read_to_end().decode()
    last = json.loads([line for line in text.splitlines() if line.startswith("data: ")][-1][6:])
    assert (last["done"], last["error"]["code"]) == (True, "upstream_timeout")


def test_draining_edge_finishes_what_it_can(own_system: System) -> None:
    with RawClient(own_system.edge.port) as client:
        client.send(LONG.replace(str(LONG_CONTEXT).encode(), b"00800").replace(b"00800", b"  800"))
        client.read_until(b'"total_tokens":5')
        own_system.edge.process.send_signal(signal.SIGTERM)
        text = client.read_to_end().decode()
    last = json.loads([line for line in text.splitlines() if line.startswith("data: ")][-1][6:])
    assert "error" not in last
    assert last["total_tokens"] == 800
    assert own_system.edge.process.wait(10) == 0


def test_full_edge_refuses_with_a_time_to_wait_and_sheds_nothing_else(tmp_path: Path) -> None:
    limits = {"MAX_INFLIGHT": "1", "MAX_QUEUE": "0"}
    with running_system(tmp_path, edge=limits) as system, RawClient(system.edge.port) as client:
        client.send(LONG)
        client.read_until(b'"total_tokens":5')
        answer = httpx.post(f"{system.edge.url}/v1/complete", json={"prompt": "x"}, trust_env=False)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "overloaded")
        assert int(answer.headers["retry-after"]) >= 1
        for path in ("/health", "/ready", "/metrics", "/v1/stats", "/v1/models"):
            assert httpx.get(f"{system.edge.url}{path}", trust_env=False).status_code == 200
        client.socket.close()
        eventually(
            lambda: httpx.get(f"{system.edge.url}/v1/stats", trust_env=False).json()["requests_active"] == 0,
            "a free place",
        )
        again = httpx.post(f"{system.edge.url}/v1/complete", json={"prompt": "x", "max_tokens": 2}, trust_env=False)
        assert again.status_code == 200


def test_two_instances_on_one_socket_hand_over_without_a_failed_request(own_system: System, tmp_path: Path) -> None:
    """What an upgrade does: the new instance starts on the same socket, then the old one is told to go."""
    with listening_socket() as listener:
        environment = edge_environment(own_system.inference.url, key_file=tmp_path / "vps")
        with running(EDGE, environment, listener=listener) as old:
            url, answers = old.url, []

            def ask(count: int) -> None:
                for _ in range(count):  # a connection each, so that each is accepted by whoever is there
                    body = {"prompt": "x", "max_tokens": 2}
                    answers.append(httpx.post(f"{url}/v1/complete", json=body, timeout=30, trust_env=False).status_code)

            ask(10)
            with running(EDGE, environment, listener=listener):
                ask(20)
                old.process.send_signal(signal.SIGTERM)
                ask(20)
                assert old.process.wait(30) == 0
                ask(10)
    assert answers == [200] * 60
