"""What it costs to be watched: counting a request and a token, and rendering a page, as JSON lines.

usage: make bench-metrics [ARGS="--quick"]

What the own code costs is processor time, of the fastest batch of many: what else the machine does only adds to it.
Times of answers are of live services, which Prometheus would ask every 15 s and this asks without a pause.
"""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Histogram as Locked

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.bench_edge import machine
from benchmarks.edge_system import post, timed
from benchmarks.figures import report
from benchmarks.inside import quantile
from benchmarks.quiet import sample
from cerebrum_edge.metrics import EdgeMetrics
from cerebrum_edge.pace import Pace
from cerebrum_edge.relay.native import NativeAnswer
from cerebrum_edge.waits import Waits
from cerebrum_inference.batching.stats import ModelStats
from cerebrum_inference.metrics import InferenceMetrics
from cerebrum_kit.metrics import LATENCY_BUCKETS, HttpMetrics, new_registry
from cerebrum_kit.middleware.boundary import Answered
from support.process import ServiceProcess
from support.system import running_system

BATCH = 1000
MOST_SERIES = 2000


def fastest(call: Callable[[], object], batches: int) -> float:
    """Microseconds of processor time of one call."""
    best = float("inf")
    for _ in range(batches):
        began = time.thread_time()
        for _ in range(BATCH):
            call()
        best = min(best, time.thread_time() - began)
    return best / BATCH * 1e6


def request_cost(batches: int) -> None:
    """All that a streamed completion is counted by, on its way through the edge, but for its tokens."""
    registry = CollectorRegistry()
    http, edge, clock = HttpMetrics("edge", registry), EdgeMetrics(registry, ["vps"]), time.monotonic

    def one() -> None:
        with http.in_flight():
            waits = Waits(clock)
            for _ in range(2):  # a place is taken, and given back
                edge.working.set(1)
                edge.waiting.set(0)
            edge.queue_wait.observe(0.0)
            for _ in range(3):  # the models, a lease, the backend
                waits.begin()
                waits.end()
            edge.backend_answered("vps", "0.1.0-a.1")
            edge.overhead.observe(max(0.0, clock() - waits.seconds))
            Pace(edge, clock, 0.0).seen(1)
            edge.backend_up["vps"].set(True)
            edge.tokens.inc(100)
            http.observe("/v1/complete/stream", "POST", 200, "ok", 0.5, key_id="pi")
            edge.answered(Answered("/v1/complete/stream", 200, "ok", 0.5))

    report("request", unit="us", value=round(fastest(one, batches), 2), bar=20)


def token_cost(batches: int) -> None:
    """What each event of a stream is timed by in the edge, and each token in the inference service."""
    registry = CollectorRegistry()
    pace = Pace(EdgeMetrics(registry, ["vps"]), time.monotonic, 0.0)
    answer = NativeAnswer({"max_tokens": 1}, receipt={}, elapsed=lambda: 0.0)
    frame = [b'data: {"token":"x","total_tokens":1,"tokens":[1]}']
    stats, now = ModelStats(), time.monotonic()
    locked = Locked("locked_seconds", "As the library has it.", buckets=LATENCY_BUCKETS, registry=registry)

    def relayed() -> None:
        answer.feed(frame)

    def timed_too() -> None:
        answer.feed(frame)
        pace.seen(answer.pieces)

    def inference() -> None:
        stats.generated += 1
        stats.inter_token.observe(0.02)
        stats.decode_rate.add(1, now)

    alone = fastest(relayed, batches)
    report("token_edge", unit="us", value=round(fastest(timed_too, batches) - alone, 3), relayed=round(alone, 3))
    report("token_inference", unit="us", value=round(fastest(inference, batches), 3))
    report("token_library", unit="us", value=round(fastest(lambda: locked.observe(0.02), batches), 3))


def rendering(rounds: int) -> None:
    """A page of as many series as a service may have, by itself."""
    registry = new_registry("inference", "0", "bench")
    InferenceMetrics(registry, [f"model_{number}" for number in range(20)])
    http = HttpMetrics("inference", registry)
    for number in range(MOST_SERIES):
        if series(generate_latest(registry)) >= MOST_SERIES:
            break
        http.observe(f"/route/{number}", "GET", 200, "ok", 0.1)
    page, times = generate_latest(registry), []
    for _ in range(rounds):
        began = time.thread_time()
        generate_latest(registry)
        times.append((time.thread_time() - began) * 1000)
    report(
        "render",
        unit="ms",
        value=round(min(times), 1),
        median=round(quantile(times, 0.5), 1),
        series=series(page),
        bytes=len(page),
        bar=50,
    )


def series(page: bytes) -> int:
    return sum(not line.startswith(b"#") for line in page.splitlines())


@contextmanager
def scraped(client: httpx.Client) -> Iterator[list[float]]:
    """While the block runs, /metrics is asked for without a pause; how long each answer took."""
    times: list[float] = []
    stop = threading.Event()

    def scrape() -> None:
        while not stop.is_set():
            times.append(timed(lambda: client.get("/metrics").raise_for_status()))

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield times
    finally:
        stop.set()
        thread.join()


def live(name: str, service: ServiceProcess, key: str, probes: int) -> None:
    """A service's page as it is, and what its `/health` is worth while the page is asked for all the time."""
    headers = {"x-api-key": key}
    with ExitStack() as stack:
        scraper, prober = (
            stack.enter_context(httpx.Client(base_url=service.url, headers=headers, timeout=60, trust_env=False))
            for _ in range(2)
        )
        page = scraper.get("/metrics").content
        ask = functools.partial(prober.get, "/health")
        alone = sample(lambda: [timed(ask) for _ in range(probes)], [service.process.pid], wait=10)

        def watched() -> tuple[list[float], list[float]]:
            with scraped(scraper) as scrapes:
                return [timed(ask) for _ in range(probes)], scrapes

        both = sample(watched, [service.process.pid], wait=10)
    health, scrapes = both.value
    report(
        f"live_{name}",
        unit="ms",
        series=series(page),
        bytes=len(page),
        scrape_p50=round(quantile(scrapes, 0.5), 1),
        scrape_p99=round(quantile(scrapes, 0.99), 1),
        scrapes=len(scrapes),
        health_p50=round(quantile(health, 0.5), 2),
        health_p99=round(quantile(health, 0.99), 2),
        health_alone_p50=round(quantile(alone.value, 0.5), 2),
        health_alone_p99=round(quantile(alone.value, 0.99), 2),
        probes=probes,
        quiet=alone.quiet and both.quiet,
        foreign=round(max(alone.foreign, both.foreign), 3),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds: does it work")
    quick = parser.parse_args().quick
    machine()
    batches, probes = (20, 50) if quick else (200, 1000)
    request_cost(batches)
    token_cost(batches)
    rendering(10 if quick else 100)
    with tempfile.TemporaryDirectory() as folder, running_system(Path(folder)) as system:
        with httpx.Client(timeout=60, trust_env=False) as client:  # pages are longer when there was something to tell
            for path, stream in (("/v1/complete", False), ("/v1/complete/stream", True)):
                post(client, system.edge.url + path, 8, stream=stream, key=system.key)
        live("edge", system.edge, system.key, probes)
        live("inference", system.inference, system.key, probes)


if __name__ == "__main__":
    main()
