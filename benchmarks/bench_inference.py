"""The inference service beside other servers of the same models, in one run and in turns, as JSON lines.

usage: make bench-inference [LLAMA_SERVER=path | BUILD_PEER=1] [ARGS="--only throughput,stall --rounds 5 --model q7b"]

docs/performance.md says what each figure means. Models are synthetic (benchmarks/synthetic.py), written on first use.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import figures, inside, peers
from benchmarks.figures import Conditions, report
from benchmarks.load import Endpoint, together
from benchmarks.peers import Plan

ROOT = Path(__file__).resolve().parents[1]
SYSTEMS = ("llama-server", "example", "llama_cpp")
COMPARED = ("throughput", "stall", "contention", "warm", "health", "cancel", "memory")
FIGURES = (*COMPARED, "speculation", "overhead")


@dataclass(frozen=True)
class Size:
    """How a model is measured: its slots, cells and lengths."""

    slots: int
    context: int
    kv_bytes_per_token: int
    answer: int
    concurrencies: tuple[int, ...]


SIZES = {
    "q05": Size(8, 4096, 12_288, 64, (1, 2, 4, 8)),
    "q7b": Size(4, 1024, 131_072, 32, (1, 4)),
}
TINY = Plan(ROOT / "models/cerebrum-tiny.gguf", 8, 512, 3072)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)

    def names(allowed: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
        def parse(text: str) -> tuple[str, ...]:
            chosen = tuple(name for name in text.split(",") if name)
            unknown = [name for name in chosen if name not in allowed]
            if unknown:
                raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: known are {', '.join(allowed)}")
            return chosen

        return parse

    parser.add_argument("--model", choices=SIZES, default="q05")
    parser.add_argument("--only", type=names(FIGURES), default=FIGURES, help="figures, between commas")
    parser.add_argument("--peers", type=names(SYSTEMS), default=SYSTEMS, help="systems, between commas; or ''")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quiet-wait", type=float, default=20.0, help="seconds to wait for a quiet one, per sample")
    parser.add_argument("--attempts", type=int, default=3, help="how often an unquiet sample is taken at most")
    parser.add_argument("--build-peer", action="store_true", help="build llama-server (about 9 CPU minutes, once)")
    parser.add_argument("--soak", type=float, metavar="SECONDS", help="only this: random requests for so long")
    parser.add_argument("--quick", action="store_true", help="one round of a few figures, about a minute")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.attempts, options.quiet_wait = 1, 1, min(options.quiet_wait, 3.0)
        options.peers = tuple(name for name in ("llama-server",) if name in options.peers)
        options.only = tuple(name for name in ("throughput", "warm", "overhead") if name in options.only)
    return options


def script(name: str, *argv: str) -> str:
    """The last line that a script prints."""
    done = subprocess.run([str(ROOT / "scripts" / name), *argv], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip().splitlines()[-1]


def cache() -> Path:
    return Path(os.environ.get("CEREBRUM_CACHE") or Path.home() / ".cache/cerebrum") / "bench"


def synthetic(python: Path, name: str) -> Path:
    argv = [str(python), str(ROOT / "benchmarks/synthetic.py"), name]
    return Path(subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout.strip())


def machine() -> None:
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    found = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    report(
        "machine",
        cpu=found.group(1) if found else platform.processor(),
        cpus=len(os.sched_getaffinity(0)),
        arch=platform.machine(),
        python=platform.python_version(),
        load=round(os.getloadavg()[0], 2),
    )


def started(stack: ExitStack, plan: Plan, options: argparse.Namespace, python: Path) -> tuple[Endpoint, list[Endpoint]]:
    """Cerebrum and every peer that can be started here; the others are named."""
    ours = stack.enter_context(peers.cerebrum(plan))
    others = []
    binary = Path(os.environ.get("LLAMA_SERVER") or "")
    if options.build_peer and not binary.is_file():
        binary = Path(script("llama_server.sh", str(cache())))
    starts = {
        "llama-server": lambda: peers.llama_server(plan, binary),
        "example": lambda: peers.example_server(plan, python),
        "llama_cpp": lambda: peers.llama_cpp_server(plan, python),
    }
    for name in options.peers:
        if name == "llama-server" and not binary.is_file():
            report("peer_missing", system=name, reason="name it by LLAMA_SERVER, or have it built by --build-peer")
            continue
        try:
            others.append(stack.enter_context(starts[name]()))
        except RuntimeError as exc:
            report("peer_missing", system=name, reason=str(exc)[-400:])
    return ours, others


def compared(options: argparse.Namespace, conditions: Conditions, size: Size, python: Path) -> None:
    plan = Plan(synthetic(python, options.model), size.slots, size.context, size.kv_bytes_per_token)
    only = options.only
    with ExitStack() as stack:
        ours, others = started(stack, plan, options, python)
        status, answer = peers.ask(ours, "POST", "/v1/tokenize", b'{"text": "' + b"a" * figures.PROMPT + b'"}')
        assert status == 200, answer
        assert f'"count":{figures.PROMPT}'.encode() in answer.replace(b" ", b""), answer[-80:]
        strong = [ours, *(one for one in others if one.system == "llama-server")]
        for endpoint in (ours, *others):
            together(endpoint, [[conditions.ask(figures.PROMPT, 4)]], figures.SAMPLE_SECONDS)
        if "throughput" in only:
            streams = (1, 4) if options.quick else size.concurrencies
            figures.throughput(conditions, [ours, replace(ours, api="openai"), *others], streams)
        if "stall" in only and plan.context > figures.LONG_PROMPT:
            figures.stall(conditions, strong)
        if "contention" in only:
            figures.contention(conditions, strong)
        if "warm" in only and plan.context > figures.WARM_PROMPT + 28:
            figures.warm_prefix(conditions, strong)
        if "health" in only:
            for endpoint in strong:
                inside.health(conditions, endpoint, size.slots, 300)
        if "cancel" in only:
            inside.leaving(conditions, ours)
        if "memory" in only:
            figures.memory(options.model, strong, plan.model.stat().st_size, plan.cells * size.kv_bytes_per_token)


def speculation(conditions: Conditions, python: Path) -> None:
    plan = Plan(synthetic(python, "q05-echo"), 1, 4096, SIZES["q05"].kv_bytes_per_token)
    with ExitStack() as stack:
        try:
            both = [stack.enter_context(peers.cerebrum(plan, SPECULATION=value)) for value in ("on", "off")]
        except AssertionError as exc:
            report("speculation_echo", systems=None, reason=str(exc).strip().splitlines()[-1][:300])
            return
        on, off = (replace(one, api="openai") for one in both)
        figures.speculation(conditions, on, off)


def main() -> None:
    options = arguments()
    # Ended from outside, it still ends the servers that it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    machine()
    python = Path(script("bench_venv.sh")) / "bin/python"
    size = SIZES[options.model]
    conditions = Conditions(
        options.model,
        options.rounds,
        options.quiet_wait,
        1 if options.quick else 3,
        size.answer,
        1 if options.quick else 4,
    )
    if options.soak:
        plan = Plan(synthetic(python, options.model), size.slots, size.context, size.kv_bytes_per_token)
        with peers.cerebrum(plan) as ours:
            inside.soak(conditions, ours, size.slots + 2, options.soak, size.context)
        return
    if any(name in options.only for name in COMPARED):
        compared(options, conditions, size, python)
    if "speculation" in options.only and options.model == "q05":
        speculation(conditions, python)
    if "overhead" in options.only:
        with peers.cerebrum(TINY) as ours:
            inside.step_overhead(conditions, ours, 8, 256)


if __name__ == "__main__":
    main()
