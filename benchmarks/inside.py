"""Figures of one server: probes while it works, what a step costs besides computing, clients that leave, long runs."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import random
import statistics
import string
import time
from dataclasses import replace

from benchmarks.figures import ANSWER, PROMPT, SAMPLE_SECONDS, Conditions, report
from benchmarks.load import Endpoint, RequestFailed, run, stream, together
from benchmarks.peers import ask, busy_slots, metric, resident_bytes
from benchmarks.quiet import Sample, trust

OVERHEAD = "cerebrum_inference_step_overhead_seconds_total"
STEPS = "cerebrum_inference_decode_steps_total"
CELLS = "cerebrum_inference_kv_cells_used"


def quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def health(conditions: Conditions, endpoint: Endpoint, slots: int, probes: int) -> None:
    """`/health` while every slot decodes."""

    def probe(count: int) -> list[float]:
        connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=30)
        times = []
        for _ in range(count):
            began = time.perf_counter()
            connection.request("GET", "/health")
            connection.getresponse().read()
            times.append((time.perf_counter() - began) * 1000)
        connection.close()
        return times

    async def work() -> list[float]:
        decoding, reading = asyncio.Event(), 0

        def progress(reads: int) -> None:
            nonlocal reading
            if reads == 4:
                reading += 1
                if reading == slots:
                    decoding.set()

        jobs = [
            asyncio.ensure_future(stream(endpoint, conditions.ask(PROMPT, 1024), on_read=progress))
            for _ in range(slots)
        ]
        try:
            await decoding.wait()
            return await asyncio.to_thread(probe, probes)
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)

    taken: Sample[list[float]] = conditions.sample(lambda: run(work(), SAMPLE_SECONDS), endpoint.pid)
    report(
        "health_while_decoding",
        model=conditions.model,
        system=endpoint.system,
        slots=slots,
        p50_ms=round(quantile(taken.value, 0.5), 2),
        p99_ms=round(quantile(taken.value, 0.99), 2),
        max_ms=round(max(taken.value), 2),
        probes=probes,
        **trust([taken]),
    )


def step_overhead(conditions: Conditions, endpoint: Endpoint, streams: int, tokens: int) -> None:
    """Time per decode step outside llama.cpp, by the service's own count, for greedy streams on the small model."""

    def measure() -> float | None:
        seconds, steps = metric(endpoint, OVERHEAD), metric(endpoint, STEPS)
        lanes = [[conditions.ask(PROMPT, tokens, 0.0)] for _ in range(streams)]
        together(endpoint, lanes, SAMPLE_SECONDS)
        more_seconds, more_steps = metric(endpoint, OVERHEAD), metric(endpoint, STEPS)
        if seconds is None or steps is None or more_seconds is None or more_steps is None or more_steps == steps:
            return None
        return (more_seconds - seconds) / (more_steps - steps)

    taken = conditions.sample(measure, endpoint.pid)
    microseconds = None if taken.value is None else round(taken.value * 1e6, 1)
    report("step_overhead", model="cerebrum-tiny", streams=streams, microseconds=microseconds, **trust([taken]))


def leaving(conditions: Conditions, endpoint: Endpoint) -> None:
    """From a client's leaving to its slot being idle, in time and in steps."""

    def measure() -> tuple[float, float]:
        whole = run(stream(endpoint, conditions.ask(PROMPT, ANSWER)), SAMPLE_SECONDS)
        steps = [later - one for one, later in zip(whole.times, whole.times[1:], strict=False)]
        run(stream(endpoint, conditions.ask(PROMPT, 1024), leave_after=20), SAMPLE_SECONDS)
        left = time.perf_counter()
        while busy_slots(endpoint) and time.perf_counter() - left < 30:
            time.sleep(0.001)
        free = time.perf_counter() - left
        return free, free / statistics.median(steps)

    taken = [conditions.sample(measure, endpoint.pid) for _ in range(conditions.rounds)]
    report(
        "cancel",
        model=conditions.model,
        slot_free_ms=round(statistics.median(one.value[0] for one in taken) * 1000, 2),
        steps=round(statistics.median(one.value[1] for one in taken), 2),
        **trust(taken),
    )


def soak(conditions: Conditions, endpoint: Endpoint, streams: int, seconds: float, context: int) -> None:
    """Requests of random sizes, some with a stop text, a third of which leave early; a line a minute."""
    source = random.Random(conditions.run_id)  # noqa: S311 -- sizes of a benchmark's requests, no secret
    began, until = time.monotonic(), time.monotonic() + seconds
    counts = {"complete": 0, "left": 0, "failed": 0}
    resident: list[tuple[float, float]] = []

    async def one() -> None:
        size = source.randrange(1, context // 2)
        wanted = conditions.ask(size, source.randrange(1, context // 4), source.choice((0.0, 0.8)))
        if source.random() < 1 / 4:
            wanted = replace(wanted, stop=(source.choice(string.ascii_lowercase) * 2,))
        leave = source.randrange(1, 40) if source.random() < 1 / 3 else None
        try:
            result = await stream(endpoint, wanted, leave_after=leave)
            counts["complete" if result.complete else "left"] += 1
        except (RequestFailed, OSError) as exc:
            counts["failed"] += 1
            report("soak_failure", error=str(exc)[:300])

    async def lane() -> None:
        while time.monotonic() < until:
            await one()

    async def watch() -> None:
        while True:
            await asyncio.sleep(60)
            await asyncio.to_thread(line, "soak_minute")

    def line(figure: str, **more: object) -> None:
        minutes = (time.monotonic() - began) / 60
        resident.append((minutes, resident_bytes(endpoint.pid) / 1e6))
        cells = metric(endpoint, CELLS)
        report(
            figure, minute=round(minutes, 1), rss_mb=round(resident[-1][1], 1), kv_cells_used=cells, **counts, **more
        )

    async def work() -> None:
        watcher = asyncio.ensure_future(watch())
        try:
            await asyncio.gather(*(lane() for _ in range(streams)))
        finally:
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher

    line("soak_start")
    run(work(), seconds + SAMPLE_SECONDS)
    idle_until = time.monotonic() + 10
    while busy_slots(endpoint) and time.monotonic() < idle_until:
        time.sleep(0.1)
    ask(endpoint, "POST", "/v1/cleanup", b"{}")
    # The start is left out: what is loaded and warmed up in the first minute is no leak.
    line("soak", slots_busy=busy_slots(endpoint), rss_mb_per_minute=slope(resident[1:]))


def slope(points: list[tuple[float, float]]) -> float | None:
    """Least squares; None for fewer than three points."""
    if len(points) < 3:
        return None
    fitted = statistics.linear_regression([x for x, _ in points], [y for _, y in points])
    return round(fitted.slope, 3)
