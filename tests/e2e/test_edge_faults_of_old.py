"""What the first Cerebrum's edge got wrong, each a promise of this one. Where a promise is tested:

1   A backend's error event is never a completion: test_faults (stream_that_fails_never_looks_whole), test_relay
    (error_with_done_is_an_error); here for whole answers.
2   A backend that refuses at the start is a status, not a 200: test_faults (backends_answer_becomes_a_status); here
    while the breaker is open.
3   `max_inflight` holds for as long as streams last: here.
4   Health is never shed: test_faults (full_edge_refuses…), test_stream (health_and_stats_answer…); here under streams
    and whole answers with a queue behind them.
5   Streams count for the breaker, refusals and clients that leave do not, one probe finds out: here; a caller is not
    held for ever by a silent backend: test_faults (silent_backend_is_given_up).
6   A client that leaves ends the backend's work, streamed or whole, before the first token too: test_stream
    (client_that_leaves_stops_the_generation), test_edge_openai (client_that_leaves…), test_edge_editors.
7   The request's id reaches the backend, other web pages are not let in, no limit is lowered silently, the largest
    prompts are condensed and not refused: here.
8   A condensed prompt has its fences, its language, its order and whole lines: here, and services/edge/tests/condense.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from support.fake_upstream import CLOSE_DELIMITED, DONE, FakeUpstream, fake_upstream, token
from support.process import ServiceProcess, console_script, running
from support.raw import RawClient, request
from support.system import edge_environment
from support.waiting import eventually

ASK = {"prompt": "x", "max_tokens": 8}
WHOLE = {"text": "ab", "total_tokens": 2, "inference_time": 0.1, "model": "m", "finish_reason": "stop"}


@contextmanager
def edge_before(fake: FakeUpstream, **settings: str) -> Iterator[ServiceProcess]:
    environment = edge_environment(fake.url, key_file=None, **settings)
    with running([console_script("cerebrum-edge")], environment) as edge:
        yield edge


def post(edge: ServiceProcess, path: str = "/v1/complete", **more: Any) -> httpx.Response:
    more.setdefault("json", ASK)
    return httpx.post(f"{edge.url}{path}", timeout=30, trust_env=False, **more)


def get(edge: ServiceProcess, path: str, **more: Any) -> httpx.Response:
    return httpx.get(f"{edge.url}{path}", timeout=30, trust_env=False, **more)


def breaker(edge: ServiceProcess) -> dict[str, Any]:
    found: dict[str, Any] = get(edge, "/v1/stats").json()["backends"][0]["breaker"]
    return found


def generations(fake: FakeUpstream) -> list[bytes]:
    return [asked for asked in fake.requests if asked.startswith(b"POST")]


def asked_for(fake: FakeUpstream) -> dict[str, Any]:
    """The body of the last generation that the backend was asked for."""
    body: dict[str, Any] = json.loads(generations(fake)[-1].partition(b"\r\n\r\n")[2])
    return body


def json_answer(payload: Any, status: bytes = b"200 OK") -> Callable[[socket.socket], None]:
    body = json.dumps(payload).encode()

    def behave(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body))

    return behave


def streams(connection: socket.socket) -> None:
    connection.sendall(CLOSE_DELIMITED + token("a", 1) + token("b", 2) + DONE)


def breaks_off(connection: socket.socket) -> None:
    connection.sendall(CLOSE_DELIMITED + token("a", 1))


@pytest.mark.parametrize("path", ["/v1/complete", "/v1/completions", "/v1/chat/completions"])
def test_1_error_that_comes_as_a_whole_answer_is_never_a_completion(path: str) -> None:
    error = {"error": {"message": "it broke", "code": "internal"}, "done": True, **WHOLE}
    body = {"messages": [{"role": "user", "content": "x"}]} if "chat" in path else {"prompt": "x"}
    with fake_upstream(json_answer(error)) as fake, edge_before(fake, RESUME_TIMEOUT="0") as edge:
        answer = post(edge, path, json={**body, "max_tokens": 8})
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_error")


@pytest.mark.parametrize("path", ["/v1/complete", "/v1/complete/stream"])
def test_2_refusal_while_the_breaker_is_open_is_a_503_with_a_time_and_asks_nobody(path: str) -> None:
    settings = {"FAILURE_THRESHOLD": "1", "COOLDOWN": "120", "RESUME_TIMEOUT": "0"}
    with fake_upstream(breaks_off) as fake, edge_before(fake, **settings) as edge:
        post(edge, "/v1/complete/stream")
        assert breaker(edge)["state"] == "open"
        before = len(generations(fake))
        answer = post(edge, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "upstream_unavailable")
        assert 1 <= int(answer.headers["retry-after"]) <= 120
        assert len(generations(fake)) == before


class Crowd:
    """A backend that says one token, then waits until it is let go on; it takes note of how many it has at once."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self._lock = threading.Lock()
        self._leave = threading.Semaphore(0)

    def __call__(self, connection: socket.socket) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        connection.sendall(CLOSE_DELIMITED + token("a", 1))
        self._leave.acquire(timeout=30)
        with self._lock:
            self.now -= 1
        connection.sendall(token("b", 2) + DONE)

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.let_go(100)

    def let_go(self, count: int = 1) -> None:
        self._leave.release(count)


def load(edge: ServiceProcess) -> tuple[int, int]:
    """Requests in work, and those that wait."""
    found = get(edge, "/v1/stats").json()
    return found["requests_active"], found["requests_waiting"]


def until_load(edge: ServiceProcess, working: int, waiting: int) -> None:
    eventually(lambda: load(edge) == (working, waiting), f"{working} in work and {waiting} that wait")


def test_3_six_staggered_streams_never_exceed_two_at_the_backend() -> None:
    crowd = Crowd()
    with (
        fake_upstream(crowd) as fake,
        edge_before(fake, MAX_INFLIGHT="2") as edge,
        ThreadPoolExecutor(6) as pool,
        crowd,
    ):
        answers = []
        for number in range(1, 7):
            answers.append(pool.submit(post, edge, "/v1/complete/stream"))
            expected = (min(number, 2), max(0, number - 2))
            until_load(edge, *expected)
        eventually(lambda: crowd.now == 2, "two streams at the backend")
        for left in (3, 2, 1, 0):
            crowd.let_go()
            until_load(edge, 2, left)
        crowd.let_go(2)
        texts = [answer.result() for answer in answers]
    assert crowd.most == 2
    assert [answer.status_code for answer in texts] == [200] * 6
    assert all('"done":true' in answer.text and "error" not in answer.text for answer in texts)


@pytest.mark.parametrize("path", ["/v1/complete", "/v1/complete/stream"])
def test_4_health_is_never_a_503_under_load(path: str) -> None:
    gate = threading.Event()

    def behave(connection: socket.socket) -> None:
        gate.wait(30)
        (streams if path.endswith("stream") else json_answer(WHOLE))(connection)

    with (
        fake_upstream(behave) as fake,
        edge_before(fake, MAX_INFLIGHT="2", MAX_QUEUE="1") as edge,
        ThreadPoolExecutor(3) as pool,
    ):
        answers = [pool.submit(post, edge, path) for _ in range(3)]
        eventually(lambda: load(edge) == (2, 1), "a full edge")
        assert post(edge, path).status_code == 503
        for open_path in ("/health", "/ready", "/metrics", "/v1/stats", "/v1/models", "/", "/openapi.json"):
            assert get(edge, open_path).status_code == 200, open_path
        assert get(edge, "/health").json()["status"] == "ok"
        assert load(edge) == (2, 1), "all of that was answered under load"
        gate.set()
        assert [answer.result().status_code for answer in answers] == [200] * 3


def test_5_streams_that_fail_open_the_breaker() -> None:
    settings = {"FAILURE_THRESHOLD": "3", "COOLDOWN": "120", "RESUME_TIMEOUT": "0"}
    with fake_upstream(breaks_off) as fake, edge_before(fake, **settings) as edge:
        for failures in (1, 2, 3):
            assert breaker(edge)["state"] == "closed"
            post(edge, "/v1/complete/stream")
            assert breaker(edge)["failures"] == failures
        assert breaker(edge)["state"] == "open"
        lines = get(edge, "/metrics").text.splitlines()
    assert 'cerebrum_edge_breaker_state{backend="vps",state="open"} 1.0' in lines
    assert 'cerebrum_edge_breaker_transitions_total{backend="vps",state="open"} 1.0' in lines


REFUSALS = ["401 No", "403 No", "404 No", "413 Large", "422 Odd", "429 Slow", "503 Busy"]


def test_5_refusals_do_not_open_the_breaker() -> None:
    with fake_upstream(streams) as fake, edge_before(fake, FAILURE_THRESHOLD="1") as edge:
        for status in REFUSALS:
            fake.behaviour = json_answer({"error": {"code": "x"}}, status.encode())
            for path in ("/v1/complete", "/v1/complete/stream"):
                assert post(edge, path).status_code >= 400
                assert (breaker(edge)["state"], breaker(edge)["failures"]) == ("closed", 0), status
        assert len(generations(fake)) >= 2 * len(REFUSALS) - 1, "the backend was asked, up to the pause that it wanted"


def test_5_clients_that_leave_do_not_open_the_breaker() -> None:
    crowd = Crowd()
    with fake_upstream(crowd) as fake, edge_before(fake, FAILURE_THRESHOLD="1") as edge, crowd:
        for _ in range(3):
            with RawClient(edge.port) as client:
                client.send(request("/v1/complete/stream", json.dumps(ASK).encode()))
                client.read_until(b'"total_tokens":1')
            eventually(lambda: load(edge) == (0, 0), "no request in work")
        assert (breaker(edge)["state"], breaker(edge)["failures"]) == ("closed", 0)


def test_5_one_request_alone_finds_out_whether_the_backend_works_again() -> None:
    settings = {"FAILURE_THRESHOLD": "1", "COOLDOWN": "120", "RESUME_TIMEOUT": "0", "MAX_INFLIGHT": "8"}
    gate = threading.Event()

    def thinks(connection: socket.socket) -> None:
        gate.wait(30)
        streams(connection)

    with fake_upstream(breaks_off) as fake, edge_before(fake, **settings) as edge, ThreadPoolExecutor(1) as pool:
        post(edge, "/v1/complete/stream")
        assert breaker(edge)["state"] == "open"
        fake.behaviour = thinks
        get(edge, "/v1/models")  # it answers: the cooldown is over
        before = len(generations(fake))
        probe = pool.submit(post, edge, "/v1/complete/stream")
        eventually(lambda: len(generations(fake)) == before + 1, "the probe at the backend")
        assert breaker(edge)["state"] == "half_open"
        for path in ("/v1/complete/stream", "/v1/complete") * 2:
            assert post(edge, path).status_code == 503
        assert len(generations(fake)) == before + 1
        gate.set()
        assert probe.result().status_code == 200
        assert (breaker(edge)["state"], breaker(edge)["failures"]) == ("closed", 0)
        assert post(edge, "/v1/complete/stream").status_code == 200


@pytest.mark.parametrize(
    ("path", "behaviour"), [("/v1/complete", json_answer(WHOLE)), ("/v1/complete/stream", streams)]
)
def test_7_request_id_reaches_the_backend(path: str, behaviour: Callable[[socket.socket], None]) -> None:
    with fake_upstream(behaviour) as fake, edge_before(fake) as edge:
        assert post(edge, path, headers={"x-request-id": "trace-7"}).headers["x-request-id"] == "trace-7"
        made = post(edge, path).headers["x-request-id"]
        first, second = generations(fake)
    assert b"\r\nx-request-id: trace-7\r\n" in first.lower()
    assert f"\r\nx-request-id: {made}\r\n".encode() in second.lower()


def test_7_pages_of_other_sites_are_not_let_in() -> None:
    origin = {"origin": "https://evil.example"}
    preflight = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    with fake_upstream(streams) as fake, edge_before(fake) as edge:
        answers = [
            get(edge, "/v1/models", headers=origin),
            post(edge, "/v1/complete/stream", headers=origin),
            httpx.options(f"{edge.url}/v1/complete", headers={**origin, **preflight}, trust_env=False),
        ]
        # What a page may send without asking first is no request here.
        simple = post(edge, json=None, content=json.dumps(ASK), headers={**origin, "content-type": "text/plain"})
        named = get(edge, "/v1/models", headers={"host": "evil.example"})
    assert [answer.status_code for answer in (*answers, simple, named)] == [200, 200, 405, 422, 403]
    for answer in answers:
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("most", [513, 4096, 1_000_000])
def test_7_limit_that_the_client_sets_is_the_limit_that_the_backend_gets(most: int) -> None:
    with fake_upstream(streams) as fake, edge_before(fake) as edge:
        assert post(edge, json={**ASK, "max_tokens": most}).status_code == 200
        assert asked_for(fake)["max_tokens"] == most
        assert post(edge, json={**ASK, "max_tokens": 2_000_000}).status_code == 422, "refused, and not lowered"


MODULE = "".join(f"function step{at}(left, right) {{\n  return left * {at} + right;\n}}\n\n" for at in range(1000))


def test_7_prompt_that_was_too_large_once_is_condensed() -> None:
    assert len(MODULE) > 3 * 16_000
    with fake_upstream(streams) as fake, edge_before(fake) as edge:
        prompt = f"{MODULE}\n// Make step500 async\n"
        answer = post(edge, "/v1/complete/stream", json={"prompt": prompt})
        sent = asked_for(fake)["prompt"]
    assert answer.status_code == 200
    assert "function step500(left, right) {" in sent
    assert answer.headers["x-cerebrum-condensed"].startswith(f"{len(prompt)}->{len(sent)};")


def test_8_condensed_prompt_keeps_its_fence_its_language_its_order_and_whole_lines() -> None:
    code = MODULE[: MODULE.index("function step60(")]
    prompt = f"Make step17 async.\n\n```javascript\n{code}```\n\nAnswer with code only.\n"
    with fake_upstream(streams) as fake, edge_before(fake) as edge:
        done = post(edge, "/v1/complete/stream", json={"prompt": prompt}).text.strip().splitlines()[-1]
        sent = asked_for(fake)["prompt"]
    assert json.loads(done.removeprefix("data: "))["language"] == "javascript"
    assert len(sent) < 0.9 * len(prompt)
    head, fenced, tail = sent.partition("```javascript\n")
    assert head == "Make step17 async.\n\n"
    kept, closing, rest = tail.partition("```\n")
    assert (fenced, closing, rest) == ("```javascript\n", "```\n", "\nAnswer with code only.\n")
    source = iter(code.splitlines())
    for line in kept.splitlines():
        # Whatever is no comment in the code's own syntax is one of its lines, and the lines are in their order.
        assert line.lstrip().startswith("//") or line in source, line
    assert "function step17(left, right) {\n  return left * 17 + right;\n}\n" in kept
