"""The figures of the edge without a model behind it: backend, edge and peers take turns within every sample."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.edge_bars import BARS, Times, added_ms, median_ratio, rate_ratio
from benchmarks.edge_client import ClientProcess, Job, Result
from benchmarks.edge_shapes import MODEL, PACED, TOKENS, Api
from benchmarks.edge_targets import APIS, Target
from benchmarks.edge_wire import fields, post
from benchmarks.figures import report
from benchmarks.inside import slope
from benchmarks.quiet import Sample, sample, trust, usable

LANES = 8
SOAK_BATCH = 250
# Below it a slope is that of what the first streams warm up.
SLOPE_STREAMS = 5000
Results = dict[str, list[Result]]


@dataclass(frozen=True)
class Load:
    """One kind of work.

    Attributes:
        count: requests to each target in a sample, in `turns` turns.
    """

    name: str
    count: int
    turns: int
    stream: bool = True
    tokens: int = TOKENS
    lanes: int = 1
    model: str = MODEL


def loads(requests: int, streams: int, paced: int) -> tuple[Load, ...]:
    """What is measured.

    Args:
        requests: one after the other, in a sample.
        streams: of eight at a time, in a sample.
        paced: the same, of a backend that takes its time.
    """
    return (
        Load("json", requests, 5, stream=False),
        Load("json_1_token", requests, 5, stream=False, tokens=1),
        Load("stream", requests, 5),
        Load("together", streams, 2, lanes=LANES),
        Load("paced", paced, 1, lanes=LANES, model=PACED),
    )


@dataclass
class Bench:
    """Everything that a measurement needs.

    Attributes:
        targets: the backend itself first.
        rows: the lines that have a value, for the table at the end.
        failed: whether the edge gave a wrong answer.
        having: whether a system has an API, as far as it was asked.
    """

    client: ClientProcess
    targets: Sequence[Target]
    rounds: int
    wait: float
    attempts: int
    rows: list[dict[str, Any]] = field(default_factory=list)
    failed: bool = False
    having: dict[tuple[str, Api], bool] = field(default_factory=dict)

    @property
    def direct(self) -> Target:
        return self.targets[0]

    @property
    def pids(self) -> tuple[int, ...]:
        own = (pid for target in self.targets for pid in target.pids)
        return tuple(dict.fromkeys((self.client.pid, *own)))

    def line(self, figure: str, system: str, value: float, unit: str, **more: Any) -> None:
        """A figure; bars are the edge's alone."""
        bar = BARS[figure].fields(value) if system == "edge" and figure in BARS else {}
        row = {"system": system, "value": value, "unit": unit, **bar, **more}
        self.rows.append({"figure": figure, **row})
        report(figure, **row)


def job(target: Target, api: Api, load: Load, count: int) -> Job:
    asked = fields(api, model=load.model, tokens=load.tokens, stream=load.stream)
    request = post(f"{target.host}:{target.port}", target.path(api, stream=load.stream), asked)
    return Job(
        target.host,
        target.port,
        request.decode("latin-1"),
        load.tokens,
        load.stream,
        count,
        load.lanes,
        target.pids,
    )


def available(bench: Bench, target: Target, api: Api) -> bool:
    """Whether a target has an API; where not, a line says so, once.

    Raises:
        RuntimeError: the edge refuses what it has.
    """
    known = (target.name, api)
    if known not in bench.having:
        bench.having[known] = api in target.paths and _answers(bench, target, api)
    return bench.having[known]


def _answers(bench: Bench, target: Target, api: Api) -> bool:
    for stream in (False, True):
        answered = bench.client.probe(job(target, api, Load("probe", 1, 1, stream=stream, tokens=1), 1))
        if answered != 200:
            path = target.path(api, stream=stream)
            if target.name == "edge" and answered != 404:
                raise RuntimeError(f"the edge answered {answered} to {path}")
            report("skipped", system=target.name, api=api, reason=f"it answered {answered} to {path}")
            return False
    return True


def relay(bench: Bench, chosen: Sequence[Load]) -> None:
    """Each kind of work over each API, as what it adds to the backend."""
    for api in APIS:
        there = [target for target in bench.targets if available(bench, target, api)]
        if len(there) < 2:
            continue
        samples: dict[str, list[Sample[Results]]] = {load.name: [] for load in chosen}
        for number in range(bench.rounds):
            for load in chosen:
                take = functools.partial(turns, bench, there, api, load)
                taken = sample(take, bench.pids, wait=bench.wait, attempts=bench.attempts)
                samples[load.name].append(taken)
                progress = f"{api} {load.name} {number + 1}/{bench.rounds} (foreign {taken.foreign:.0%})"
                print(progress, file=sys.stderr, flush=True)
        for load in chosen:
            compare(bench, there, api, load, samples[load.name])


def turns(bench: Bench, targets: Sequence[Target], api: Api, load: Load) -> Results:
    """One sample: the targets in turns, each time another one first."""
    found: Results = {target.name: [] for target in targets}
    for turn in range(load.turns):
        first = turn % len(targets)
        for target in (*targets[first:], *targets[:first]):
            found[target.name].append(bench.client.measure(job(target, api, load, load.count // load.turns)))
    return found


def compare(bench: Bench, targets: Sequence[Target], api: Api, load: Load, samples: Sequence[Sample[Results]]) -> None:
    """The lines of one kind of work: each target beside the backend itself."""
    times = {
        target.name: Times.of(
            load.tokens, (asdict(one) for taken in usable(samples) for one in taken.value[target.name])
        )
        for target in targets
    }
    direct = times[bench.direct.name]
    for name, one in times.items():
        bench.failed |= name == "edge" and bool(one.problems)
        if one is direct:
            continue
        common: dict[str, Any] = {"api": api, "tokens": load.tokens, "streams": load.lanes, "answers": len(one.seconds)}
        common |= {"failed": len(one.problems), **trust(samples)}
        if one.problems:
            report("problem", system=name, api=api, load=load.name, problem=one.problems[0])
        if not one.seconds:
            continue
        beside = {f"direct_{key}": value for key, value in direct.fields(cpu=False).items()}
        common |= {**one.fields(), **beside}
        if not load.stream:
            bench.line(f"{load.name}_added", name, added_ms(one, direct), "ms", **common)
        elif load.lanes == 1:
            bench.line(f"{load.name}_ratio", name, median_ratio(one, direct), "x direct", **common)
        else:
            bench.line(f"{load.name}_ratio", name, rate_ratio(one, direct), "of direct's tokens/s", **common)


def soak(bench: Bench, edge: Target, streams: int) -> None:
    """So many streams through the edge, its APIs in turns, and whether its memory grows in their second half."""
    apis = [api for api in APIS if available(bench, edge, api)]
    load = Load("soak", SOAK_BATCH, 1, lanes=LANES)
    points = [(0.0, edge.resident_mb() or 0.0)]
    failed: list[str] = []
    for batch in range(max(1, streams // SOAK_BATCH)):
        api = apis[batch % len(apis)]
        failed += bench.client.measure(job(edge, api, load, SOAK_BATCH)).problems
        points.append(((batch + 1) * SOAK_BATCH / 1000, edge.resident_mb() or 0.0))
    done = int(points[-1][0] * 1000)
    common: dict[str, Any] = {"answers": done, "failed": len(failed), "apis": apis}
    if failed:
        bench.failed = True
        report("problem", system="edge", load="soak", problem=failed[0])
    bench.line(
        "soak_rss", "edge", points[-1][1], "MB", **common, before_mb=points[0][1], most_mb=max(y for _, y in points)
    )
    grown = slope(points[len(points) // 2 :])
    if grown is not None and done >= SLOPE_STREAMS:
        bench.line("soak_slope", "edge", grown, "MB per 1,000 streams, second half", **common)
