"""The benchmark's own processes: the backend speaks as the real service does, the client tells right from wrong."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from benchmarks.edge_client import ClientProcess, Job, cpu_seconds
from benchmarks.edge_figures import Load, job
from benchmarks.edge_shapes import Api
from benchmarks.edge_targets import APIS, Target, backend, listening, named
from support.fake_upstream import CHUNKED, FakeUpstream, chunk, fake_upstream, token
from support.inference import TINY, Inference, running_inference


@pytest.fixture(scope="module")
def direct() -> Iterator[Target]:
    with backend(0) as target:
        yield target


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inference]:
    with running_inference(tmp_path_factory.mktemp("inference")) as inference:
        yield inference


@pytest.fixture(scope="module")
def client() -> Iterator[ClientProcess]:
    with ClientProcess() as process:
        yield process


def skeleton(value: Any) -> Any:
    """What a JSON value is made of: its names and the kinds of its leaves."""
    if isinstance(value, dict):
        return {name: skeleton(one) for name, one in value.items()}
    if isinstance(value, list):
        return [skeleton(one) for one in value[:1]]
    if isinstance(value, bool) or value is None:
        return value
    return "number" if isinstance(value, (int, float)) else "text"


def shape(answer: httpx.Response) -> Any:
    """An answer's skeleton; a stream's events without repetitions."""
    if not answer.headers["content-type"].startswith("text/event-stream"):
        return skeleton(answer.json())
    data = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    found = [one if one == "[DONE]" else skeleton(json.loads(one)) for one in data]
    return [one for one, _ in itertools.groupby(found)]


BODIES = [
    ("/v1/inference", {"prompt": "def "}),
    ("/v1/inference/stream", {"prompt": "def "}),
    ("/v1/completions", {"prompt": "def "}),
    ("/v1/completions", {"prompt": "def ", "stream": True}),
    ("/v1/completions", {"prompt": "def ", "stream": True, "stream_options": {"include_usage": True}}),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "def "}]}),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "def "}], "stream": True}),
]


@pytest.mark.parametrize("ids", [False, True])
@pytest.mark.parametrize(("path", "body"), BODIES)
def test_the_backend_answers_as_the_service_does(
    direct: Target, service: Inference, path: str, body: dict[str, Any], ids: bool
) -> None:
    asked = {**body, "model": TINY, "max_tokens": 6, "temperature": 0, "ignore_eos": True, "return_tokens": ids}
    real = service.ask(path, asked)
    ours = httpx.post(f"http://127.0.0.1:{direct.port}{path}", json=asked, trust_env=False)
    assert (ours.status_code, shape(ours)) == (real.status_code, shape(real))
    assert ours.headers["content-type"] == real.headers["content-type"]
    assert ours.headers.get("transfer-encoding") == real.headers.get("transfer-encoding")


@pytest.mark.parametrize("path", ["/v1/models", "/health"])
def test_the_backend_lists_what_the_service_lists(direct: Target, service: Inference, path: str) -> None:
    real, ours = service.ask(path).json(), httpx.get(f"http://127.0.0.1:{direct.port}{path}", trust_env=False).json()
    assert set(ours) == set(real)
    for rows in ("models", "data"):
        assert [set(row) for row in ours.get(rows, [])[:1]] == [set(row) for row in real.get(rows, [])[:1]]


def test_the_backend_refuses_in_the_services_shape(direct: Target, service: Inference) -> None:
    url = f"http://127.0.0.1:{direct.port}"
    for path, body in (("/v1/nowhere", {}), ("/v1/inference", {"prompt": "a", "max_tokens": -1})):
        ours, real = httpx.post(f"{url}{path}", json=body, trust_env=False), service.ask(path, body)
        assert 400 <= ours.status_code < 500
        assert set(ours.json()["error"]) == set(real.json()["error"])


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("lanes", [1, 3])
def test_the_client_counts_right_answers(
    direct: Target, client: ClientProcess, api: Api, stream: bool, lanes: int
) -> None:
    result = client.measure(job(direct, api, Load("x", 1, 1, stream=stream, tokens=7, lanes=lanes), 5))
    assert result.problems == []
    assert len(result.seconds) == len(result.first) == 5
    assert all(0 < first <= all_ for first, all_ in zip(result.first, result.seconds, strict=True))
    assert 0 < max(result.seconds) <= result.wall
    assert result.cpu > 0


def cut(connection: Any) -> None:
    connection.sendall(CHUNKED + chunk(token(" t0", 1)))


def refuse(connection: Any) -> None:
    connection.sendall(b"HTTP/1.1 503 Busy\r\nconnection: close\r\ncontent-length: 4\r\n\r\nbusy")


@pytest.mark.parametrize(("behaviour", "word", "code"), [(cut, "end", 200), (refuse, "busy", 503)])
def test_what_is_cut_or_refused_is_a_problem_and_no_time(
    client: ClientProcess, behaviour: Callable[[Any], None], word: str, code: int
) -> None:
    with fake_upstream(behaviour) as fake:
        target = reached(fake)
        result = client.measure(job(target, "native", Load("x", 3, 1, tokens=2), 3))
        assert client.probe(job(target, "native", Load("x", 1, 1, tokens=2), 1)) == code
    assert result.seconds == []
    assert len(result.problems) == 3
    assert all(word in one for one in result.problems)


def reached(fake: FakeUpstream) -> Target:
    return Target("fake", "127.0.0.1", int(fake.url.rsplit(":", 1)[1]), (), {"native": ("/x", "/x")})


def test_a_server_that_is_not_there_is_an_error(client: ClientProcess, direct: Target) -> None:
    nowhere = Job("127.0.0.1", 1, "GET / HTTP/1.1\r\n\r\n", 1, False, 1)
    with pytest.raises(RuntimeError, match=r"127\.0\.0\.1:1: ConnectionRefused"):
        client.measure(nowhere)
    assert client.measure(job(direct, "native", Load("x", 1, 1), 1)).problems == []


def test_processor_time_is_that_of_the_process() -> None:
    before = time.process_time()
    found = cpu_seconds([os.getpid()])
    assert 0 < before <= found <= time.process_time()


def test_a_named_peer_is_found_where_it_listens(direct: Target) -> None:
    peer = named(f"other=http://127.0.0.1:{direct.port}/base/v1/")
    assert (peer.name, peer.port, peer.pids) == ("other", direct.port, direct.pids)
    assert peer.path("chat", stream=True) == "/base/v1/chat/completions"
    assert listening(1) == ()
    for wrong in ("other", "=http://a:1", "other=https://a:1", "other=127.0.0.1:1"):
        with pytest.raises(ValueError, match="write name=http"):
            named(wrong)
