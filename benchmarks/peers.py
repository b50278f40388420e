"""Starts the servers that are compared, each as a process on loopback with the same model, threads and context."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from benchmarks.load import Ask, Endpoint, body
from support.process import console_script, running
from support.system import write_keys

THREADS = 2
START_SECONDS = 180.0
STOP_SECONDS = 20.0
# Without images: its file imports the library for them, which the wheel is built without, and never calls it.
EXAMPLE = (
    "import runpy, sys, types; sys.modules['llama_cpp.mtmd_cpp'] = types.ModuleType('mtmd_cpp'); "
    "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
)


@dataclass(frozen=True)
class Plan:
    """What every server is given. `context` is a slot's; the cells of all slots are one pool where a server can."""

    model: Path
    slots: int
    context: int
    kv_bytes_per_token: int

    @property
    def cells(self) -> int:
        return self.slots * self.context


@contextlib.contextmanager
def cerebrum(plan: Plan, **settings: str) -> Iterator[Endpoint]:
    """Cerebrum's inference service; `replace(endpoint, api="openai")` reaches its other interface.

    Raises:
        AssertionError: it did not start, for one because it does not know a setting.
    """
    size = plan.model.stat().st_size
    row = {
        "id": "bench",
        "name": "Benchmark",
        "file": plan.model.name,
        "size_bytes": size,
        "ram_bytes": int(size * 1.1) + 200_000_000,
        "kv_bytes_per_token": plan.kv_bytes_per_token,
        "context": plan.context,
        "licence": "none",
        "fallback": True,
    }
    with tempfile.TemporaryDirectory(prefix="cerebrum-bench-") as name:
        folder = Path(name)
        manifest = folder / "manifest.yml"
        manifest.write_text(yaml.safe_dump({"store": str(plan.model.parent), "models": [row]}), encoding="utf-8")
        key = write_keys(folder)
        given = {
            "MANIFEST": str(manifest),
            "API_KEYS_FILE": str(folder / "api_keys"),
            "SLOTS": str(plan.slots),
            "THREADS": str(THREADS),
            "MAX_CONTEXT": str(plan.context),
            "MAX_QUEUE": "64",
            "MAX_CPU_PERCENT": "100",  # the servers beside it are the load that is measured
            "LOG_LEVEL": "WARNING",
            **settings,
        }
        environment = {f"CEREBRUM_INFERENCE_{name}": value for name, value in given.items()}
        with running([console_script("cerebrum-inference")], environment) as service:
            headers = (("X-API-Key", key),)
            endpoint = Endpoint("cerebrum", service.process.pid, service.port, "native", headers)
            yield with_ignore_eos(endpoint)


def with_ignore_eos(endpoint: Endpoint) -> Endpoint:
    """Asks for it where the service knows the field; it refuses what it does not know."""
    extra = (("ignore_eos", True),)
    status, _ = ask(endpoint, "POST", "/v1/inference", body(replace(endpoint, extra=extra), Ask("a", 1)))
    return replace(endpoint, extra=extra) if status == 200 else endpoint


def ask(endpoint: Endpoint, method: str, path: str, content: bytes | None = None) -> tuple[int, bytes]:
    """One request besides the load, answered whole."""
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=60)
    try:
        headers = {"Content-Type": "application/json", **dict(endpoint.headers)}
        connection.request(method, path, content, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def metric(endpoint: Endpoint, name: str) -> float | None:
    """The sum of a metric's samples; None where the service has no such metric."""
    return metric_in(ask(endpoint, "GET", "/metrics")[1].decode(), name)


def metric_in(text: str, name: str) -> float | None:
    found = [float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
    return sum(found) if found else None


def busy_slots(endpoint: Endpoint) -> int:
    slots: list[dict[str, Any]] = json.loads(ask(endpoint, "GET", "/v1/slots")[1])["slots"]
    return sum(slot["state"] != "idle" for slot in slots)


def resident_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def process(
    argv: Sequence[str], health: str, endpoint: Endpoint, environment: Mapping[str, str] | None = None
) -> Iterator[Endpoint]:
    """A peer that runs and answers; only what was started here is ended."""
    with tempfile.NamedTemporaryFile(prefix="cerebrum-bench-", suffix=".log") as log:
        env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **(environment or {})}
        child = subprocess.Popen(argv, stdout=log, stderr=subprocess.STDOUT, env=env, start_new_session=True)
        try:
            until = time.monotonic() + START_SECONDS
            while not _answers(endpoint, health):
                if child.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"{endpoint.system} did not start:\n{Path(log.name).read_text()[-3000:]}")
                time.sleep(0.2)
            yield replace(endpoint, pid=child.pid)
        finally:
            child.terminate()
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _answers(endpoint: Endpoint, health: str) -> bool:
    try:
        return ask(endpoint, "GET", health)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


@contextlib.contextmanager
def llama_server(plan: Plan, binary: Path) -> Iterator[Endpoint]:
    """llama.cpp's server with one pool of cells for all slots, which is its fastest configuration."""
    port = free_port()
    argv = [str(binary), "-m", str(plan.model), "--host", "127.0.0.1", "--port", str(port), "--offline", "--no-webui"]
    argv += ["-np", str(plan.slots), "-kvu", "-c", str(plan.cells), "-t", str(THREADS), "-tb", str(THREADS)]
    argv += ["--cache-ram", "0"]
    endpoint = Endpoint("llama-server", 0, port, extra=(("ignore_eos", True),))
    with process(argv, "/health", endpoint) as started:
        yield started


@contextlib.contextmanager
def llama_cpp_server(plan: Plan, python: Path) -> Iterator[Endpoint]:
    """`python -m llama_cpp.server`: one request at a time, and told not to abort it for the next one."""
    port = free_port()
    argv = [str(python), "-m", "llama_cpp.server", "--model", str(plan.model), "--host", "127.0.0.1"]
    argv += ["--port", str(port), "--n_ctx", str(plan.context), "--interrupt_requests", "false"]
    argv += ["--n_threads", str(THREADS), "--n_threads_batch", str(THREADS)]
    with process(argv, "/v1/models", Endpoint("llama_cpp.server", 0, port)) as started:
        yield started


@contextlib.contextmanager
def example_server(plan: Plan, python: Path) -> Iterator[Endpoint]:
    """The batching server among llama-cpp-python's examples. Its API has no top_k."""
    port = free_port()
    model = {
        "path": str(plan.model),
        "alias": "bench",
        "n_ctx": plan.cells,
        "n_seq_max": plan.slots,
        "n_batch": 512,
        "n_ubatch": 512,
        "threads": THREADS,
        "threads_batch": THREADS,
        "kv_unified": True,
    }
    with tempfile.TemporaryDirectory(prefix="cerebrum-bench-") as folder:
        config = Path(folder) / "config.json"
        config.write_text(json.dumps({"server": {"host": "127.0.0.1", "port": port}, "model": model}))
        script = python.parents[1] / "example_server.py"
        argv = [str(python), "-c", EXAMPLE, str(script), "-C", str(config)]
        with process(argv, "/v1/models", Endpoint("example server", 0, port)) as started:
            yield started
