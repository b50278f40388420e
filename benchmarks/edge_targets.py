"""What the edge's benchmark measures, as processes on loopback: the backend itself, the edge, and peers of the edge."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from benchmarks.edge_shapes import MODEL, PACED, Api
from benchmarks.load import Endpoint
from benchmarks.peers import free_port, process, resident_bytes
from cerebrum_kit.keys import new_key
from support.process import console_script, running
from support.system import edge_environment

ROOT = Path(__file__).resolve().parents[1]
APIS: tuple[Api, ...] = ("native", "completions", "chat")
DIRECT: dict[Api, tuple[str, str]] = {
    "native": ("/v1/inference", "/v1/inference/stream"),
    "completions": ("/v1/completions", "/v1/completions"),
    "chat": ("/v1/chat/completions", "/v1/chat/completions"),
}
EDGE = {**DIRECT, "native": ("/v1/complete", "/v1/complete/stream")}
PEER: dict[Api, tuple[str, str]] = {api: DIRECT[api] for api in APIS[1:]}
# As many in work as the benchmark has streams at a time: what is measured is the relay and not its queue.
LIMITS = {"MAX_INFLIGHT": "8", "MAX_QUEUE": "16"}
LITELLM_PATH = "/health/liveliness"


@dataclass(frozen=True)
class Target:
    """Something that answers.

    Attributes:
        pids: its processes; none where it runs on another machine.
        paths: of each API that it has, for whole answers and for streams.
        prefix: of every path, for a peer below one.
    """

    name: str
    host: str
    port: int
    pids: tuple[int, ...]
    paths: Mapping[Api, tuple[str, str]]
    prefix: str = ""

    def path(self, api: Api, *, stream: bool) -> str:
        return self.prefix + self.paths[api][stream]

    def resident_mb(self) -> float | None:
        return round(sum(resident_bytes(pid) for pid in self.pids) / 1e6, 1) if self.pids else None


@dataclass(frozen=True)
class Started:
    """How long a start took, in seconds from the start of its process."""

    ready: float
    answered: float


@contextlib.contextmanager
def backend(port: int) -> Iterator[Target]:
    """The backend without a model, in a process of its own."""
    argv = [sys.executable, "-m", "benchmarks.edge_upstream", "--port", str(port)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True) as child:
        assert child.stdout is not None
        line = child.stdout.readline()
        if not line:
            raise RuntimeError(f"the backend did not start on port {port}; is it taken?")
        yield Target("direct", "127.0.0.1", int(line), (child.pid,), DIRECT)


@contextlib.contextmanager
def edge(upstream: Target, settings: Mapping[str, str]) -> Iterator[tuple[Target, Started]]:
    """The edge as systemd starts it, with a key for its backend; everything else is as it is installed.

    Args:
        settings: without their prefix; they win over the benchmark's own.
    """
    with tempfile.TemporaryDirectory(prefix="cerebrum-bench-") as folder:
        key = Path(folder) / "key"
        key.write_text(new_key() + "\n", encoding="utf-8")
        environment = edge_environment(f"http://127.0.0.1:{upstream.port}", key_file=key, **{**LIMITS, **settings})
        began = time.perf_counter()
        with running([console_script("cerebrum-edge")], environment) as service:
            ready = time.perf_counter() - began
            if fetch(service.port, "/health") != 200:
                raise RuntimeError(f"the edge's /health is not 200:\n{service.log[-2000:]}")
            started = Started(ready, time.perf_counter() - began)
            yield Target("edge", "127.0.0.1", service.port, tree(service.process.pid), EDGE), started


@contextlib.contextmanager
def litellm(path: Path, upstream: Target) -> Iterator[tuple[Target, Started]]:
    """LiteLLM's proxy with one worker and no database.

    Args:
        path: a venv that has it, or its command.

    Raises:
        OSError, RuntimeError: it is not there, or does not start.
    """
    command = path / "bin/litellm" if path.is_dir() else path
    url = f"http://127.0.0.1:{upstream.port}/v1"
    models = [
        {"model_name": name, "litellm_params": {"model": f"openai/{name}", "api_base": url, "api_key": "sk-bench"}}
        for name in (MODEL, PACED)
    ]
    environment = {
        "LITELLM_TELEMETRY": "False",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it is fetched from the network at each start
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # on loopback, as the edge without keys
        "NO_PROXY": "*",
    }
    with tempfile.TemporaryDirectory(prefix="cerebrum-bench-") as folder:
        config = Path(folder) / "config.yaml"
        config.write_text(json.dumps({"model_list": models}), encoding="utf-8")  # JSON is YAML too
        port = free_port()
        argv = [str(command), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
        began = time.perf_counter()
        with process(argv, LITELLM_PATH, Endpoint("litellm", 0, port), environment) as endpoint:
            seconds = time.perf_counter() - began
            yield Target("litellm", "127.0.0.1", port, tree(endpoint.pid), PEER), Started(seconds, seconds)


def named(text: str) -> Target:
    """A peer that runs already, out of `name=http://host:port`; its processes are found where it listens here.

    Raises:
        ValueError: the text is not of that form.
    """
    found = re.fullmatch(r"([\w.-]+)=(http://[^\s/]+)(/.*)?", text)
    if found is None:
        raise ValueError(f"{text!r}: write name=http://host:port")
    name, url, path = found[1], urlsplit(found[2]), (found[3] or "").rstrip("/").removesuffix("/v1")
    host, port = url.hostname or "127.0.0.1", url.port or 80
    return Target(name, host, port, listening(port) if host in {"127.0.0.1", "localhost"} else (), PEER, path)


def listening(port: int) -> tuple[int, ...]:
    """The processes that listen on a port here, with their children."""
    owners = {
        one.pid
        for one in psutil.net_connections("tcp")
        if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port and one.pid
    }
    return tuple(dict.fromkeys(pid for owner in sorted(owners) for pid in tree(owner)))


def tree(pid: int) -> tuple[int, ...]:
    return (pid, *(child.pid for child in psutil.Process(pid).children(recursive=True)))


def fetch(port: int, path: str) -> int:
    """The status of a GET on loopback."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()
