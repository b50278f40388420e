"""A stream goes on though its backend dies, stalls or is reset: in the same response, nothing lost, nothing twice."""

from __future__ import annotations

import json
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from support.exact_model import write_exact_model
from support.fake_upstream import CHUNKED, FakeUpstream, chunk, fake_upstream, reset
from support.process import ServiceProcess, console_script, listening_socket, running
from support.raw import RawClient, request
from support.system import MODELS, edge_environment, inference_environment, write_keys
from support.waiting import eventually

EDGE, INFERENCE = [console_script("cerebrum-edge")], [console_script("cerebrum-inference")]
PROMPT = "def fibonacci(n):\n"
TOKENS = 600  # a few seconds, of which a fault takes the first
TOKENS_OF_A_HANDOVER = 3000  # longer than a service takes to start
ASK = {"prompt": PROMPT, "max_tokens": TOKENS, "temperature": 0}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped model with weights as floats: what it says does not depend on how its prompt was cut into batches."""
    return write_exact_model(MODELS / "cerebrum-tiny.gguf", tmp_path_factory.mktemp("exact") / "tiny.gguf")


@dataclass
class Backends:
    """Real inference services on sockets that outlive them, as the service manager keeps them, and an edge."""

    environment: dict[str, str]
    stack: ExitStack
    listeners: list[socket.socket] = field(default_factory=list)
    processes: list[ServiceProcess] = field(default_factory=list)
    edge: ServiceProcess | None = None

    def start(self, listener: socket.socket | None = None) -> ServiceProcess:
        if listener is None:
            listener = self.stack.enter_context(listening_socket())
        process = self.stack.enter_context(running(INFERENCE, self.environment, listener=listener))
        self.listeners.append(listener)
        self.processes.append(process)
        return process

    @property
    def port(self) -> int:
        assert self.edge is not None
        return self.edge.port

    def get(self, path: str) -> httpx.Response:
        assert self.edge is not None
        return httpx.get(f"{self.edge.url}{path}", trust_env=False)


@contextmanager
def backends(folder: Path, model: Path, count: int, *, drain: str = "25", **edge: str) -> Iterator[Backends]:
    write_keys(folder)
    with ExitStack() as stack:
        all_of_them = Backends(inference_environment(folder, model, DRAIN_SECONDS=drain), stack)
        for _ in range(count):
            all_of_them.start()
        urls = [process.url for process in all_of_them.processes]
        environment = edge_environment(*urls, key_file=folder / "vps", **edge)
        all_of_them.edge = stack.enter_context(running(EDGE, environment))
        yield all_of_them


def events(text: str) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def said(found: list[dict[str, Any]]) -> str:
    return "".join(event.get("token", "") for event in found)


def stream(port: int, disturb: Callable[[], None] | None = None, tokens: int = TOKENS) -> list[dict[str, Any]]:
    """The events of the native stream, disturbed when some tokens have come."""
    with RawClient(port) as client:
        client.socket.settimeout(60)
        body = json.dumps(ASK | {"max_tokens": tokens}).encode()
        client.send(request("/v1/complete/stream", body, headers=("Connection: close",)))
        head = b""
        if disturb is not None:
            head = b"".join(client.read_until(b"\n\n") for _ in range(20))
            disturb()
        return events((head + client.read_to_end()).decode())


def busy(backends: Backends, key: str) -> ServiceProcess:
    """The backend that generates now."""
    for process in backends.processes:
        slots = httpx.get(f"{process.url}/v1/slots", headers={"x-api-key": key}, trust_env=False).json()["slots"]
        if any(slot["state"] != "idle" for slot in slots):
            return process
    raise AssertionError("no backend is busy")


def check(undisturbed: list[dict[str, Any]], disturbed: list[dict[str, Any]]) -> None:
    last = disturbed[-1]
    assert "error" not in last, last
    assert said(disturbed) == said(undisturbed)
    for name in ("total_tokens", "finish_reason"):
        assert last[name] == undisturbed[-1][name]
    assert (undisturbed[-1]["resumed"], last["resumed"]) == (0, 1)
    totals = [event["total_tokens"] for event in disturbed]
    assert totals == sorted(totals), "no token comes twice"
    assert sum("done" in event for event in disturbed) == 1


def test_backend_killed_and_restarted_by_its_service_manager_goes_on_in_the_same_response(
    tmp_path: Path, model: Path
) -> None:
    with backends(tmp_path, model, 1) as system:
        undisturbed = stream(system.port)

        def kill_and_restart() -> None:
            system.processes[0].process.kill()
            system.processes[0].process.wait(10)
            system.start(system.listeners[0])

        check(undisturbed, stream(system.port, kill_and_restart))
        assert "cerebrum_edge_stream_resumes_total 1.0" in system.get("/metrics").text
        assert system.get("/v1/stats").json()["resumes"] == 1


def test_backend_that_hands_over_within_a_stream_is_asked_by_others_at_once(tmp_path: Path, model: Path) -> None:
    """An upgrade whose old instance has a stream for longer than it may take to end."""
    with backends(tmp_path, model, 1, drain="0.2") as system:
        undisturbed, others = stream(system.port, tokens=TOKENS_OF_A_HANDOVER), []

        def hand_over() -> None:
            old = system.processes[0]
            system.start(system.listeners[0])
            assert old.terminate() == 0
            assert system.edge is not None
            body = {"prompt": PROMPT, "max_tokens": 2}
            for _ in range(5):
                answer = httpx.post(f"{system.edge.url}/v1/complete", json=body, timeout=30, trust_env=False)
                others.append(answer.status_code)

        check(undisturbed, stream(system.port, hand_over, tokens=TOKENS_OF_A_HANDOVER))
    assert others == [200] * 5


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_stream_of_a_lost_backend_goes_on_at_another_one(tmp_path: Path, model: Path, how: str) -> None:
    """Killed: its connections are reset. Stopped: they stay open, and nothing comes."""
    with backends(tmp_path, model, 2, IDLE_TIMEOUT="1") as system:
        key = (tmp_path / "vps").read_text(encoding="utf-8").strip()
        undisturbed = stream(system.port)

        def lose() -> None:
            process = busy(system, key)
            process.process.send_signal(signal.SIGKILL if how == "killed" else signal.SIGSTOP)

        check(undisturbed, stream(system.port, lose))


def test_whole_answer_survives_too(tmp_path: Path, model: Path) -> None:
    with backends(tmp_path, model, 2) as system:
        key = (tmp_path / "vps").read_text(encoding="utf-8").strip()
        assert system.edge is not None
        url = f"{system.edge.url}/v1/complete"
        undisturbed = httpx.post(url, json=ASK, timeout=60, trust_env=False).json()
        answers: list[dict[str, Any]] = []
        asking = threading.Thread(
            target=lambda: answers.append(httpx.post(url, json=ASK, timeout=60, trust_env=False).json())
        )
        asking.start()
        eventually(lambda: system.get("/v1/stats").json()["requests_active"] == 1, "a request in work")
        lost: list[ServiceProcess] = []

        def found() -> bool:
            try:
                lost.append(busy(system, key))
            except AssertionError:
                return False
            return True

        eventually(found, "a busy backend")
        lost[0].process.kill()
        asking.join(60)
        (answer,) = answers
        assert (answer["text"], answer["total_tokens"]) == (undisturbed["text"], TOKENS)


# Faults that real services do not produce on demand, with bytes as ours writes them.


def answering(connection: socket.socket, *parts: bytes) -> None:
    connection.sendall(CHUNKED)
    for part in parts:
        connection.sendall(chunk(part))


def event(payload: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode() + b"\n\n"


def token(text: str, total: int, *ids: int) -> bytes:
    return event({"token": text, "total_tokens": total, "tokens": ids})


NATIVE_DONE = event(
    {"done": True, "total_tokens": 4, "inference_time": 0.1, "model": "m", "finish_reason": "stop"}
    | {"tokens_per_second": 1.0}
)


def body_of(asked: bytes) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(asked.partition(b"\r\n\r\n")[2])
    return body


def generations(fake: FakeUpstream) -> list[dict[str, Any]]:
    return [body_of(asked) for asked in fake.requests if asked.startswith(b"POST")]


def ends(connection: socket.socket) -> None:
    """FIN in the middle."""


def cut_in_a_character(connection: socket.socket) -> None:
    connection.sendall(chunk(b'data: {"token":"\xf0\x9f'))


def reports_an_error(connection: socket.socket) -> None:
    connection.sendall(chunk(event({"error": {"message": "it broke", "code": "internal"}, "done": True})))


@pytest.mark.parametrize("fault", [ends, cut_in_a_character, reports_an_error], ids=lambda one: one.__name__)
def test_resumed_by_the_backends_own_tokens(fault: Callable[[socket.socket], None]) -> None:
    calls = iter([1, 2])

    def behave(connection: socket.socket) -> None:
        if next(calls) == 1:
            answering(connection, token("a", 1, 11), token("\u00e9", 2, 12))
            fault(connection)
        else:
            answering(connection, token("c", 3, 13), token("d", 4, 14), NATIVE_DONE, b"")

    with fake_upstream(behave) as fake, running(EDGE, edge_environment(fake.url)) as edge:
        found = stream(edge.port)
        first, second = generations(fake)
    assert said(found) == "a\u00e9cd"
    assert (found[-1]["total_tokens"], found[-1]["resumed"]) == (4, 1)
    assert "resume_tokens" not in first
    assert second["resume_tokens"] == [11, 12]


def text_chunk(text: str, *ids: int, reason: str | None = None, of: str = "cmpl-1") -> bytes:
    choice = {"index": 0, "text": text, "logprobs": None, "tokens": ids, "finish_reason": reason}
    return event({"id": of, "object": "text_completion", "created": 1, "model": "m", "choices": [choice]})


def delta_chunk(delta: dict[str, str], *ids: int, reason: str | None = None, of: str = "chatcmpl-1") -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "tokens": ids, "finish_reason": reason}
    return event({"id": of, "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]})


OPENAI_DONE = b"data: [DONE]\n\n"


def cut_openai(connection: socket.socket, attempt: int, *, chat: bool) -> None:
    first, second = ("x-1", "x-2")
    if chat:
        role = {"role": "assistant", "content": ""}
        parts = [
            [delta_chunk(role, of=first), delta_chunk({"content": "a"}, 11, of=first)],
            [
                delta_chunk(role, of=second),
                delta_chunk({"content": "b"}, 12, of=second),
                delta_chunk({}, reason="stop", of=second),
                OPENAI_DONE,
                b"",
            ],
        ]
    else:
        parts = [
            [text_chunk("a", 11, of=first)],
            [text_chunk("b", 12, of=second), text_chunk("", reason="stop", of=second), OPENAI_DONE, b""],
        ]
    answering(connection, *parts[attempt])


@pytest.mark.parametrize("chat", [True, False], ids=["chat", "completion"])
def test_openai_stream_stays_one_answer_when_it_is_resumed(chat: bool) -> None:
    attempts = iter([0, 1])
    with (
        fake_upstream(lambda connection: cut_openai(connection, next(attempts), chat=chat)) as fake,
        running(EDGE, edge_environment(fake.url)) as edge,
        openai.OpenAI(base_url=f"{edge.url}/v1", api_key="none", max_retries=0) as client,
    ):
        if chat:
            messages: list[Any] = [{"role": "user", "content": "hello"}]
            chunks: list[Any] = list(client.chat.completions.create(model="m", messages=messages, stream=True))
            text = "".join(one.choices[0].delta.content or "" for one in chunks)
            assert sum(one.choices[0].delta.role is not None for one in chunks) == 1
        else:
            chunks = list(client.completions.create(model="m", prompt="x", stream=True))
            text = "".join(one.choices[0].text for one in chunks)
        assert generations(fake)[1]["resume_tokens"] == [11]
    assert text == "ab"
    assert {one.id for one in chunks} == {"x-1"}
    assert [one.choices[0].finish_reason for one in chunks].count("stop") == 1


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions"])
def test_openai_stream_that_cannot_be_resumed_ends_with_an_error_and_without_done(path: str) -> None:
    """A backend that is gone and stays away: OpenAI's own client raises on that, and on nothing less."""
    chat = path.endswith("chat/completions")

    def behave(connection: socket.socket) -> None:
        fake.close()
        answering(connection, delta_chunk({"content": "a"}, 11) if chat else text_chunk("a", 11))
        reset(connection)

    with fake_upstream(behave) as fake, running(EDGE, edge_environment(fake.url, RESUME_TIMEOUT="0.3")) as edge:
        body = {"messages": [{"role": "user", "content": "x"}]} if chat else {"prompt": "x"}
        with RawClient(edge.port) as client:
            client.send(request(path, json.dumps({**body, "stream": True}).encode(), headers=("Connection: close",)))
            text = client.read_to_end().decode()
    assert "[DONE]" not in text
    assert events(text)[-1]["error"]["code"] in ("upstream_error", "upstream_unavailable")
    assert text.endswith("0\r\n\r\n"), "the answer itself ends as HTTP wants it"


def test_whole_answer_of_a_backend_that_only_streams() -> None:
    def behave(connection: socket.socket) -> None:
        answering(connection, token("a", 1, 11), token("b", 2, 12), NATIVE_DONE, b"")

    with fake_upstream(behave) as fake, running(EDGE, edge_environment(fake.url)) as edge:
        answer = httpx.post(f"{edge.url}/v1/complete", json={"prompt": "x", "max_tokens": 8}, trust_env=False).json()
    assert (answer["text"], answer["total_tokens"]) == ("ab", 4)
