"""The client of the edge's benchmark, a process of its own: jobs in, times out, a JSON line each.

A job is a number of equal requests on one connection after the other, or on several connections at once. Connections
are opened and used once before the time is taken; answers are checked after it.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from benchmarks.edge_wire import Answer, problem, status

JOB_SECONDS = 300.0
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Job:
    """What to ask for, and how often.

    Attributes:
        request: the bytes of the request, as latin-1.
        tokens: how many the answer has.
        count: requests of all lanes together.
        lanes: connections that are used at the same time.
        pids: processes whose processor time is taken with it.
    """

    host: str
    port: int
    request: str
    tokens: int
    stream: bool
    count: int
    lanes: int = 1
    pids: tuple[int, ...] = ()


@dataclass
class Result:
    """What came of a job; times are seconds.

    Attributes:
        seconds: of each right answer, from its request to its last byte.
        first: of each right answer, to its first event.
        wall: of all together.
        cpu: what the job's processes used meanwhile.
        problems: what was wrong with the others.
    """

    seconds: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    wall: float = 0.0
    cpu: float = 0.0
    problems: list[str] = field(default_factory=list)


def cpu_seconds(pids: Sequence[int]) -> float:
    """Processor time of processes with all their threads, to the nanosecond; /proc counts ticks of 10 ms."""
    # Linux makes the number of a process's clock from its id (clock_getcpuclockid(3)); Python has no call for it.
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


class Connection(asyncio.Protocol):
    """One connection: a request, its answer, the next request."""

    def __init__(self) -> None:
        self._answer = Answer(0.0)
        self._over: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._answer.feed(data, time.perf_counter()):
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._end()

    @property
    def reusable(self) -> bool:
        return self._transport is not None and not self._answer.last

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    async def exchange(self, request: bytes) -> Answer:
        """The answer, whole or as far as it came before the connection was closed."""
        self._answer = Answer(time.perf_counter())
        if self._transport is None:
            return self._answer
        self._over = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        await self._over
        return self._answer

    def _end(self) -> None:
        if self._over is not None and not self._over.done():
            self._over.set_result(None)


async def connect(job: Job) -> Connection:
    _, connection = await asyncio.get_running_loop().create_connection(Connection, job.host, job.port)
    return connection


async def measure(job: Job) -> Result:
    """Runs a job. A server that closes a connection gets a new one with the next request."""
    request = job.request.encode("latin-1")
    connections = [await connect(job) for _ in range(job.lanes)]
    answers: list[Answer] = []
    left = job.count

    async def lane(at: int) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            if not connections[at].reusable:
                connections[at].close()
                connections[at] = await connect(job)
            answers.append(await connections[at].exchange(request))

    try:
        for one in connections:
            await one.exchange(request)
        cpu, began = cpu_seconds(job.pids), time.perf_counter()
        await asyncio.gather(*(lane(at) for at in range(job.lanes)))
        result = Result(wall=time.perf_counter() - began, cpu=cpu_seconds(job.pids) - cpu)
    finally:
        for one in connections:
            one.close()
        await asyncio.sleep(0)  # a transport closes its socket in the loop's next turn
    for answer in answers:
        wrong = problem(answer, job.tokens, stream=job.stream)
        if wrong is not None or answer.ended is None or answer.first is None:
            result.problems.append(wrong or "the connection was closed")
            continue
        result.seconds.append(answer.ended - answer.asked)
        result.first.append(answer.first - answer.asked)
    return result


async def probe(job: Job) -> int:
    """The status that one such request is answered with."""
    connection = await connect(job)
    try:
        return status((await connection.exchange(job.request.encode("latin-1"))).raw)
    finally:
        connection.close()
        await asyncio.sleep(0)


class ClientProcess:
    """The client as the benchmark sees it.

    Raises:
        RuntimeError: by its methods, where the client could not do its work; with the reason.
    """

    def __init__(self) -> None:
        argv = [sys.executable, "-m", "benchmarks.edge_client"]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        with self._process:  # closes its input, which ends it
            pass

    @property
    def pid(self) -> int:
        return self._process.pid

    def measure(self, job: Job) -> Result:
        return Result(**self._ask("measure", job))

    def probe(self, job: Job) -> int:
        return int(self._ask("probe", job)["status"])

    def _ask(self, kind: str, job: Job) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"kind": kind, **asdict(job)}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline() or '{"error": "the client ended"}')
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return dict(answer)


async def do(kind: str, job: Job) -> dict[str, object]:
    async with asyncio.timeout(JOB_SECONDS):
        return {"status": await probe(job)} if kind == "probe" else asdict(await measure(job))


def main() -> None:
    with asyncio.Runner() as runner:
        for line in sys.stdin:
            fields = json.loads(line)
            kind = fields.pop("kind")
            try:
                answer = runner.run(do(kind, Job(**fields)))
            except (OSError, TimeoutError) as exc:
                answer = {"error": f"{fields['host']}:{fields['port']}: {type(exc).__name__}: {exc}"}
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
