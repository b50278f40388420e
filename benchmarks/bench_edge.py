"""The edge beside its backend and beside other gateways, in one run and in turns, as JSON lines.

usage: make bench-edge [LITELLM=venv] [PEER="name=http://host:port"] [ARGS="--quick --only stream,together"]

A backend without a model answers at once, so that what is measured is the way through; docs/performance.md says what
each figure means. Ends with 1 where the edge gave a wrong answer.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import signal
import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import edge_figures, edge_system, edge_targets
from benchmarks.edge_bars import table
from benchmarks.edge_client import ClientProcess
from benchmarks.edge_figures import Bench
from benchmarks.edge_targets import Started, Target
from benchmarks.figures import report
from benchmarks.quiet import wait_until_quiet

RELAYED = tuple(load.name for load in edge_figures.loads(1, 1, 1))
FIGURES = ("ready", *RELAYED, "soak", "system")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)

    def figures(text: str) -> tuple[str, ...]:
        chosen = tuple(name for name in text.split(",") if name)
        unknown = [name for name in chosen if name not in FIGURES]
        if unknown:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: known are {', '.join(FIGURES)}")
        return chosen

    def peer(text: str) -> Target:
        try:
            return edge_targets.named(text)
        except ValueError as exc:
            raise argparse.ArgumentTypeError(str(exc)) from None

    def setting(text: str) -> tuple[str, str]:
        name, found, value = text.partition("=")
        if not found or not re.fullmatch(r"[A-Z][A-Z_]*", name):
            raise argparse.ArgumentTypeError(f"{text!r}: write NAME=value, without CEREBRUM_EDGE_")
        return name, value

    parser.add_argument("--only", type=figures, default=FIGURES, help="figures, between commas")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--requests", type=int, default=50, help="one after the other, in a sample")
    parser.add_argument("--streams", type=int, default=80, help="of eight at a time, in a sample")
    parser.add_argument("--paced", type=int, default=24, help="the same, of the paced backend")
    parser.add_argument("--soak", type=int, default=10_000, metavar="STREAMS")
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--litellm", type=Path, metavar="PATH", help="a venv that has LiteLLM's proxy, or its command")
    parser.add_argument(
        "--peer", type=peer, action="append", default=[], help="name=http://host:port, that runs already"
    )
    parser.add_argument("--port", type=int, default=0, help="the backend's, for peers that must be told")
    parser.add_argument("--setting", type=setting, action="append", default=[], help="the edge's: NAME=value")
    parser.add_argument("--quiet-wait", type=float, default=10.0, help="seconds to wait for a quiet one, per sample")
    parser.add_argument("--attempts", type=int, default=2, help="how often an unquiet sample is taken at most")
    parser.add_argument("--quick", action="store_true", help="one round, few requests: does it work")
    options = parser.parse_args()
    if options.peer and not options.port:
        parser.error("--peer: give the backend a port (--port 9950) and point the peer at http://127.0.0.1:9950/v1")
    if options.quick:
        options.rounds, options.attempts, options.quiet_wait, options.starts = 1, 1, 1.0, 1
        options.requests, options.streams, options.paced, options.soak = 10, 16, 8, min(options.soak, 1000)
    return options


def machine() -> None:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    report(
        "machine",
        cpu=found.group(1) if found else platform.processor(),
        cpus=len(os.sched_getaffinity(0)),
        arch=platform.machine(),
        python=platform.python_version(),
        load=round(os.getloadavg()[0], 2),
    )


def starts(bench: Bench, system: str, taken: Sequence[tuple[Target, Started]]) -> None:
    """How long the starts took, to the first answer, and what is resident then."""
    answered = [started.answered for _, started in taken]
    ready = round(statistics.median(started.ready for _, started in taken), 3)
    value = round(statistics.median(answered), 3)
    bench.line("ready", system, value, "s", fastest=round(min(answered), 3), told=ready, starts=len(taken))


def resident(bench: Bench, figure: str) -> None:
    for target in bench.targets[1:]:
        mb = target.resident_mb()
        if mb is not None:
            bench.line(figure, target.name, mb, "MB")


def measure(options: argparse.Namespace) -> Bench:
    settings = dict(options.setting)
    with ExitStack() as stack:
        direct = stack.enter_context(edge_targets.backend(options.port))
        client = stack.enter_context(ClientProcess())
        bench = Bench(client, [direct], options.rounds, options.quiet_wait, options.attempts)
        taken: list[tuple[Target, Started]] = []
        for _ in range(options.starts if "ready" in options.only else 0):
            wait_until_quiet(bench.pids, options.quiet_wait)
            with edge_targets.edge(direct, settings) as once:
                taken.append(once)
        edge = stack.enter_context(edge_targets.edge(direct, settings))[0]
        bench.targets = [direct, edge]
        if taken:
            starts(bench, "edge", taken)
        if options.litellm:
            try:
                peer, started = stack.enter_context(edge_targets.litellm(options.litellm, direct))
            except (OSError, RuntimeError) as exc:
                report("peer_missing", system="litellm", reason=str(exc)[-400:])
            else:
                bench.targets.append(peer)
                starts(bench, peer.name, [(peer, started)])
        bench.targets += options.peer
        resident(bench, "rss_start")
        chosen = [
            load
            for load in edge_figures.loads(options.requests, options.streams, options.paced)
            if load.name in options.only
        ]
        if chosen:
            edge_figures.relay(bench, chosen)
            resident(bench, "rss_after")
        if "soak" in options.only and options.soak:
            edge_figures.soak(bench, edge, options.soak)
    return bench


def main() -> None:
    options = arguments()
    # Ended from outside, it still ends the processes that it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    machine()
    bench = measure(options)
    if "system" in options.only:
        edge_system.measure(rounds=options.rounds, requests=max(1, options.requests // 2))
    print(table(bench.rows), file=sys.stderr)
    sys.exit(1 if bench.failed else 0)


if __name__ == "__main__":
    main()
