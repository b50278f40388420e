"""The edge before a real server that is not ours: llama-cpp-python's own, with the shipped model.

It runs in the benchmark's venv, which has what it needs; the first run on a machine downloads that.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from support.inference import Inference, running_inference
from support.process import ServiceProcess, console_script, free_port, running
from support.raw import RawClient, request
from support.repo import ROOT
from support.system import MODELS
from support.waiting import eventually

pytestmark = pytest.mark.timeout(600)
KEY = "sk-of-theirs"
PROMPT = "def fibonacci(n):\n"


@dataclass
class Server:
    """llama_cpp.server, which may be killed and started again at the same address."""

    python: Path
    port: int
    log: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        model = {"MODEL": str(MODELS / "cerebrum-tiny.gguf"), "MODEL_ALIAS": "tiny", "N_CTX": "4096", "N_THREADS": "1"}
        address = {"HOST": "127.0.0.1", "PORT": str(self.port), "API_KEY": KEY, "INTERRUPT_REQUESTS": "false"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [self.python, "-m", "llama_cpp.server"],
                env={"PATH": os.environ["PATH"], **model, **address},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)

    def answers(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            headers = {"authorization": f"Bearer {KEY}"}
            return httpx.get(f"{self.url}/v1/models", headers=headers, trust_env=False).status_code == 200
        return False


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = subprocess.run([str(ROOT / "scripts/bench_venv.sh")], stdout=subprocess.PIPE, text=True, check=True)
    one = Server(Path(made.stdout.strip()) / "bin/python", free_port(), tmp_path_factory.mktemp("server") / "log")
    one.start()
    try:
        eventually(one.answers, "llama_cpp.server", seconds=60)
        yield one
    finally:
        one.kill()


@contextlib.contextmanager
def edge_before(*rows: dict[str, Any], **settings: str) -> Iterator[ServiceProcess]:
    environment = {f"CEREBRUM_EDGE_{name}": value for name, value in settings.items()}
    environment["CEREBRUM_EDGE_BACKENDS"] = json.dumps(rows)
    with running([console_script("cerebrum-edge")], environment) as edge:
        yield edge


def theirs(server: Server, folder: Path, key: str = KEY) -> dict[str, Any]:
    (folder / "theirs").write_text(key, encoding="utf-8")
    models = {"coder": {"name": "tiny", "languages": ["python"], "context": 4096}}
    row = {"name": "theirs", "kind": "openai", "url": f"{server.url}/v1", "models": models}
    return {**row, "api_key_file": str(folder / "theirs")}


@pytest.fixture(scope="module")
def edge(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with edge_before(theirs(server, tmp_path_factory.mktemp("edge")), RESUME_TIMEOUT="60") as one:
        yield one


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]


def post(edge: ServiceProcess, path: str, **body: Any) -> httpx.Response:
    return httpx.post(f"{edge.url}{path}", json=body, timeout=60, trust_env=False)


def test_native_answers_streamed_and_whole_are_the_same(edge: ServiceProcess) -> None:
    ask = {"prompt": PROMPT, "max_tokens": 40, "temperature": 0}
    found = events(post(edge, "/v1/complete/stream", **ask).text)
    last = found[-1]
    assert (last["done"], last["finish_reason"], last["model"]) == (True, "length", "coder")
    assert last["tokens_per_second"] > 0
    answer = post(edge, "/v1/complete", **ask).json()
    assert answer["text"] == "".join(event.get("token", "") for event in found)


def test_openais_client_completes_and_chats(edge: ServiceProcess) -> None:
    with openai.OpenAI(base_url=f"{edge.url}/v1", api_key="x", max_retries=0) as client:
        whole = client.completions.create(model="coder", prompt=PROMPT, max_tokens=12, temperature=0)
        parts = client.completions.create(model="coder", prompt=PROMPT, max_tokens=12, temperature=0, stream=True)
        assert "".join(part.choices[0].text for part in parts if part.choices) == whole.choices[0].text
        messages: Any = [{"role": "user", "content": "hi"}]
        chat = client.chat.completions.create(model="coder", messages=messages, max_completion_tokens=8, temperature=0)
        assert chat.choices[0].message.content
        assert chat.choices[0].finish_reason == "length"
        filled = client.completions.create(model="coder", prompt="def f(", suffix="\n    return x", max_tokens=8)
        assert filled.choices[0].finish_reason in {"length", "stop"}


def test_stream_goes_on_when_the_server_is_killed_and_started_again(edge: ServiceProcess, server: Server) -> None:
    body = {"prompt": PROMPT, "max_tokens": 1500, "temperature": 0}
    with RawClient(edge.port) as client:
        client.socket.settimeout(90)
        client.send(request("/v1/complete/stream", json.dumps(body).encode(), headers=("Connection: close",)))
        head = b"".join(client.read_until(b"\n\n") for _ in range(20))
        server.kill()
        server.start()
        found = events((head + client.read_to_end()).decode())
    last = found[-1]
    assert last["done"] is True, last
    assert "error" not in last, last
    assert last["resumed"] >= 1
    totals = [event["total_tokens"] for event in found[:-1]]
    assert totals == list(range(1, len(totals) + 1)), "no token is lost, none comes twice"


def test_key_that_it_refuses_is_a_problem_of_the_edge(server: Server, tmp_path: Path) -> None:
    with edge_before(theirs(server, tmp_path, "another"), READY_TIMEOUT="0") as edge:
        problem = httpx.get(f"{edge.url}/health", trust_env=False).json()["problem"]
        assert "refused the edge's key" in problem
        answer = post(edge, "/v1/complete", prompt=PROMPT)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "upstream_unavailable")
        assert "refused the edge's key" in answer.json()["error"]["message"]


def test_ours_and_theirs_in_one_pool_each_with_its_models(server: Server, tmp_path: Path) -> None:
    def ours(one: Inference) -> dict[str, Any]:
        return {"name": "ours", "url": one.process.url, "api_key_file": str(tmp_path / "vps")}

    with running_inference(tmp_path) as one, edge_before(ours(one), theirs(server, tmp_path)) as edge:
        listed = httpx.get(f"{edge.url}/v1/models", trust_env=False).json()
        assert {row["id"] for row in listed["data"]} == {"cerebrum-tiny", "coder"}
        ask = {"prompt": "x", "max_tokens": 2}
        assert post(edge, "/v1/complete", **ask, language="python").json()["model"] == "coder"
        assert post(edge, "/v1/complete", **ask, language="rust").json()["model"] == "cerebrum-tiny"
        for model in ("cerebrum-tiny", "coder"):
            chosen = post(edge, "/v1/completions", **ask, model=model).json()
            assert chosen["model"] == model
            assert chosen["choices"][0]["finish_reason"]
