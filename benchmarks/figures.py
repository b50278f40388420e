"""The figures that compare servers: throughput, what a long prompt does to others, a busy machine, a warm prefix.

Systems take turns within a round, so that what the machine does besides meets all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from benchmarks.load import Ask, Endpoint, RequestFailed, Stream, Window, prompt, run, stream, together
from benchmarks.peers import resident_bytes
from benchmarks.quiet import Sample, sample, trust, usable

T = TypeVar("T")
PROMPT, ANSWER = 127, 64
STALL_ANSWER, LONG_PROMPT = 160, 1950
WARM_PROMPT = 800
SAMPLE_SECONDS = 240.0
CONTENTION_ANSWER = 24


def report(figure: str, **values: object) -> None:
    print(json.dumps({"figure": figure, **values}), flush=True)


def note(figure: str, endpoint: Endpoint, streams: int, value: float, foreign: float) -> None:
    """Progress, for whoever watches."""
    text = f"{figure} {name_of(endpoint)} x{streams}: {value:.3f} (foreign {foreign:.0%})"
    print(text, file=sys.stderr, flush=True)


@dataclass
class Conditions:
    """How to measure.

    Attributes:
        wait: seconds to wait for a quiet second before a sample.
        requests: in a sample, so that few streams run several each: one alone is over too soon to measure.
        run_id: makes every prompt of every run a new one.
    """

    model: str
    rounds: int
    wait: float
    attempts: int = 3
    answer: int = ANSWER
    requests: int = 4
    run_id: str = field(default_factory=lambda: str(time.time_ns()))
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def ask(self, tokens: int, answer: int, temperature: float = 0.8, *, start: str = "") -> Ask:
        """A request with a prompt that was never used before."""
        return Ask(prompt(tokens, (self.run_id, next(self._numbers)), start=start), answer, temperature)

    def echo(self) -> tuple[int, ...]:
        """The prompt of an edit: words that count upwards, as the echoing model does, each twelfth one changed."""
        source = random.Random(f"{self.run_id} {next(self._numbers)}")  # noqa: S311 -- a benchmark's prompt, no secret
        start = source.randrange(10_000, 100_000)
        words = [source.randrange(1000, 9000) if at % 12 == 11 else start + at for at in range(400)]
        return (*words, start - 1)

    def sample(self, measure: Callable[[], T], *pids: int) -> Sample[T]:
        return sample(measure, pids, wait=self.wait, attempts=self.attempts)


def compare(figure: str, unit: str, ours: str, results: dict[str, list[Sample[float]]], **labels: object) -> None:
    """One line: each system's median, and ours divided by each other's."""
    medians = {name: float(statistics.median(one.value for one in usable(group))) for name, group in results.items()}
    report(
        figure,
        **labels,
        unit=unit,
        systems={name: round(value, 4) for name, value in medians.items()},
        ratios={name: round(medians[ours] / value, 3) for name, value in medians.items() if name != ours and value > 0},
        **trust(*results.values()),
    )


def name_of(endpoint: Endpoint) -> str:
    return f"{endpoint.system} ({endpoint.api})" if endpoint.system == "cerebrum" else endpoint.system


def throughput(conditions: Conditions, endpoints: Sequence[Endpoint], concurrencies: Sequence[int]) -> None:
    ours = name_of(endpoints[0])
    rates: dict[int, dict[str, list[Sample[float]]]] = {}
    ttfts: dict[int, dict[str, list[Sample[float]]]] = {}
    for _ in range(conditions.rounds):
        for streams in concurrencies:
            for endpoint in endpoints:
                window = window_sample(conditions, endpoint, streams)
                at = rates.setdefault(streams, {}).setdefault(name_of(endpoint), [])
                at.append(Sample(window.value.tokens_per_second, window.foreign))
                median = statistics.median(one.ttft for one in window.value.streams)
                note("throughput", endpoint, streams, at[-1].value, window.foreign)
                ttfts.setdefault(streams, {}).setdefault(name_of(endpoint), []).append(Sample(median, window.foreign))
    for streams in concurrencies:
        labels = {"model": conditions.model, "streams": streams, "prompt": PROMPT, "answer": conditions.answer}
        compare("throughput", "tokens/s", ours, rates[streams], **labels)
        compare("ttft", "s", ours, ttfts[streams], **labels)


def window_sample(conditions: Conditions, endpoint: Endpoint, streams: int, *pids: int) -> Sample[Window]:
    each = max(1, conditions.requests // streams)

    def measure() -> Window:
        lanes = [[conditions.ask(PROMPT, conditions.answer) for _ in range(each)] for _ in range(streams)]
        return together(endpoint, lanes, SAMPLE_SECONDS)

    return conditions.sample(measure, endpoint.pid, *pids)


def stall(conditions: Conditions, endpoints: Sequence[Endpoint]) -> None:
    """The longest silence of a running stream when another request brings a long prompt, and that one's first token."""
    gaps: dict[str, list[Sample[float]]] = {}
    firsts: dict[str, list[Sample[float]]] = {}

    async def pair(endpoint: Endpoint) -> tuple[Stream, Stream]:
        running = asyncio.Event()

        def progress(reads: int) -> None:
            if reads >= 20:
                running.set()

        victim = asyncio.ensure_future(stream(endpoint, conditions.ask(PROMPT, STALL_ANSWER), on_read=progress))
        started = asyncio.ensure_future(running.wait())
        await asyncio.wait({victim, started}, return_when=asyncio.FIRST_COMPLETED)
        started.cancel()
        if victim.done():
            victim.result()  # why it failed, if it did
            raise RequestFailed(f"{endpoint.system}: the stream was over before the long prompt came")
        return await stream(endpoint, conditions.ask(LONG_PROMPT, 8)), await victim

    def measure(endpoint: Endpoint) -> tuple[Stream, Stream]:
        both: tuple[Stream, Stream] = run(pair(endpoint), SAMPLE_SECONDS)
        return both

    for _ in range(conditions.rounds):
        for endpoint in endpoints:
            taken = conditions.sample(functools.partial(measure, endpoint), endpoint.pid)
            long, victim = taken.value
            note("stall", endpoint, 1, victim.longest_gap, taken.foreign)
            gaps.setdefault(name_of(endpoint), []).append(Sample(victim.longest_gap, taken.foreign))
            firsts.setdefault(name_of(endpoint), []).append(Sample(long.ttft, taken.foreign))
    ours = name_of(endpoints[0])
    compare("stall_longest_gap", "s", ours, gaps, model=conditions.model, prompt=LONG_PROMPT)
    compare("stall_long_prompt_ttft", "s", ours, firsts, model=conditions.model, prompt=LONG_PROMPT)


@contextlib.contextmanager
def busy_loop() -> Iterator[int]:
    """A process that computes without end beside the servers, and always is ended."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as hog:
        try:
            yield hog.pid
        finally:
            hog.kill()


def contention(conditions: Conditions, endpoints: Sequence[Endpoint]) -> None:
    """One stream beside a process that computes without end. Short: some servers fall to a token a second."""
    short = replace(conditions, answer=CONTENTION_ANSWER, requests=1)
    rates: dict[str, list[Sample[float]]] = {}
    for _ in range(conditions.rounds):
        for endpoint in endpoints:
            with busy_loop() as hog:
                window = window_sample(short, endpoint, 1, hog)
            rates.setdefault(name_of(endpoint), []).append(Sample(window.value.tokens_per_second, window.foreign))
            note("contention", endpoint, 1, window.value.tokens_per_second, window.foreign)
    compare("contention", "tokens/s", name_of(endpoints[0]), rates, model=conditions.model, streams=1, busy_processes=1)


def warm_prefix(conditions: Conditions, endpoints: Sequence[Endpoint]) -> None:
    """Time to first token of a prompt whose first 800 tokens were sent a moment ago."""
    times: dict[str, dict[str, list[Sample[float]]]] = {"cold": {}, "warm": {}}

    def measure(endpoint: Endpoint) -> tuple[float, float]:
        shared = str(conditions.ask(WARM_PROMPT, 1).prompt)
        asks = [conditions.ask(WARM_PROMPT + 1, 8, start=shared) for _ in range(2)]
        cold, warm = together(endpoint, [asks], SAMPLE_SECONDS).streams
        return cold.ttft, warm.ttft

    for _ in range(conditions.rounds):
        for endpoint in endpoints:
            taken = conditions.sample(functools.partial(measure, endpoint), endpoint.pid)
            for kind, value in zip(("cold", "warm"), taken.value, strict=True):
                times[kind].setdefault(name_of(endpoint), []).append(Sample(value, taken.foreign))
    for kind, results in times.items():
        compare(f"prefix_{kind}_ttft", "s", name_of(endpoints[0]), results, model=conditions.model, prefix=WARM_PROMPT)


def memory(model: str, endpoints: Sequence[Endpoint], file_bytes: int, kv_bytes: int) -> None:
    """Resident memory after the load of the other figures, divided by what a model needs: its file and its KV cells."""
    for endpoint in endpoints:
        resident = resident_bytes(endpoint.pid)
        report(
            "memory",
            model=model,
            system=endpoint.system,
            resident_mb=round(resident / 1e6, 1),
            file_and_kv_mb=round((file_bytes + kv_bytes) / 1e6, 1),
            ratio=round(resident / (file_bytes + kv_bytes), 3),
        )


def speculation(conditions: Conditions, on: Endpoint, off: Endpoint) -> None:
    """An edit that repeats its prompt: the model counts upwards, and so does the prompt but for one word in twelve."""
    rates: dict[str, list[Sample[float]]] = {"on": [], "off": []}
    for _ in range(conditions.rounds):
        for name, endpoint in (("on", on), ("off", off)):
            lanes = [[Ask(conditions.echo(), 256, 0.0)]]
            measure = functools.partial(together, endpoint, lanes, SAMPLE_SECONDS)
            taken = conditions.sample(measure, endpoint.pid)
            rates[name].append(Sample(taken.value.tokens_per_second, taken.foreign))
    compare("speculation_echo", "tokens/s", "on", rates, model="q05-echo", streams=1, echo_share=round(11 / 12, 3))
