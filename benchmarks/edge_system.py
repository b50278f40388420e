"""The edge before the real inference service and the shipped model: what it adds, and probes while every slot works."""

from __future__ import annotations

import functools
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from benchmarks.figures import report
from benchmarks.inside import quantile
from benchmarks.peers import resident_bytes
from support.raw import RawClient, request
from support.system import LONG_CONTEXT, System, running_system

TOKENS = 100
PROBES = 300


def measure(rounds: int, requests: int) -> None:
    with tempfile.TemporaryDirectory() as folder, running_system(Path(folder)) as system:
        resident("system_rss_idle", system)
        added(system, rounds, requests)
        health_while_generating(system, PROBES)
        resident("system_rss_after", system)


def resident(figure: str, system: System) -> None:
    edge, inference = (resident_bytes(one.process.pid) / 1e6 for one in (system.edge, system.inference))
    report(figure, unit="MB", edge=round(edge, 1), inference=round(inference, 1))


def timed(call: Callable[[], object]) -> float:
    """Milliseconds."""
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000


def post(client: httpx.Client, url: str, tokens: int, *, stream: bool, key: str) -> None:
    body = {"prompt": "def fibonacci(n):", "max_tokens": tokens, "temperature": 0}
    headers = {"x-api-key": key}
    if not stream:
        client.post(url, json=body, headers=headers).raise_for_status()
        return
    with client.stream("POST", url, json=body, headers=headers) as response:
        response.raise_for_status()
        last = b""
        for chunk in response.iter_bytes():
            last = chunk
    assert b'"done":true' in last


def added(system: System, rounds: int, requests: int) -> None:
    """The same work with and without the edge, in turns."""
    for name, tokens, stream, peer, path in (
        ("system_json_1_token", 1, False, "/v1/inference", "/v1/complete"),
        (f"system_stream_{TOKENS}_tokens", TOKENS, True, "/v1/inference/stream", "/v1/complete/stream"),
    ):
        direct: list[float] = []
        edge: list[float] = []
        with httpx.Client(timeout=60, trust_env=False) as client:
            for _ in range(rounds):
                for times, url in ((direct, system.inference.url + peer), (edge, system.edge.url + path)):
                    send = functools.partial(post, client, url, tokens, stream=stream, key=system.key)
                    times += [timed(send) for _ in range(requests)]
        report(
            name,
            direct_ms_median=round(statistics.median(direct), 2),
            edge_ms_median=round(statistics.median(edge), 2),
            added_ms_median=round(statistics.median(edge) - statistics.median(direct), 2),
            ratio=round(statistics.median(edge) / statistics.median(direct), 2),
            requests=len(edge),
        )


def health_while_generating(system: System, probes: int) -> None:
    """`/health` of both services while every slot streams."""
    body = json.dumps({"prompt": "def fibonacci(n):", "max_tokens": LONG_CONTEXT, "temperature": 0}).encode()
    readers, clients, stop = [], [], threading.Event()

    def read(client: RawClient) -> None:
        while not stop.is_set():
            try:
                client.read_until(b"\n\n")
            except (EOFError, OSError):
                return

    for _ in range(2):
        client = RawClient(system.edge.port)
        client.send(request("/v1/complete/stream", body))
        client.read_until(b'"total_tokens":3')
        clients.append(client)
        readers.append(threading.Thread(target=read, args=(client,), daemon=True))
        readers[-1].start()
    try:
        for name, url in (("inference", system.inference.url), ("edge", system.edge.url)):
            with httpx.Client(base_url=url, timeout=30, trust_env=False) as probe:
                times = [timed(functools.partial(probe.get, "/health")) for _ in range(probes)]
            report(
                f"system_health_{name}_while_generating",
                p50_ms=round(quantile(times, 0.5), 2),
                p99_ms=round(quantile(times, 0.99), 2),
                max_ms=round(max(times), 2),
                slots_busy=system.slots_busy(),
                probes=probes,
            )
    finally:
        stop.set()
        for client in clients:
            client.socket.close()
        for reader in readers:
            reader.join(10)
