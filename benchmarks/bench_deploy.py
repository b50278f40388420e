"""How long a deployment takes, on two hosts of this machine that it makes and removes, as JSON lines.

usage: make bench-deploy [ARGS="--rounds 3 --keep"]      (root)

  first_token   from hosts that have just booted to the first token of a stream through the edge, with what is cached
  no_change     site.yml again, which finds everything as it shall be
  up_again      `make up` again: hosts, site.yml and a completion
  slowest       tasks of the last run of site.yml

The hosts are a lab of their own beside that of `make up`. Ends with 1 where a second run changed something.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[1]
LAB = "bench"
BARS = {"first_token": 240, "no_change": 45, "up_again": 60}
PLAYBOOK = str(ROOT / ".venv/bin/ansible-playbook")


def report(name: str, **values: object) -> None:
    print(json.dumps({"figure": name, **values}), flush=True)


@dataclass(frozen=True)
class Run:
    """A playbook's run: its seconds, its tasks, and how many of them changed something."""

    seconds: float
    tasks: list[dict[str, object]]
    changed: int


def command(*words: str, **environment: str) -> tuple[float, str]:
    """Runs it in the benchmark's lab; ends the benchmark with what it said where it fails."""
    began = time.monotonic()
    done = subprocess.run(
        words,
        cwd=ROOT,
        env={**os.environ, "CEREBRUM_LAB": LAB, "ANSIBLE_NOCOLOR": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"{done.stdout[-6000:]}\ncerebrum: {' '.join(words)} failed: {done.returncode}")
    return time.monotonic() - began, done.stdout


def play(book: str, *words: str) -> Run:
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as times:
        seconds, said = command(
            *(PLAYBOOK, "-i", "inventories/lab", book, *words),
            ANSIBLE_CALLBACK_PLUGINS=str(ROOT / "benchmarks/callback_plugins"),
            ANSIBLE_CALLBACKS_ENABLED="task_times",
            CEREBRUM_TASK_TIMES=times.name,
        )
        # The callback writes into this very file.
        tasks: list[dict[str, object]] = json.loads(Path(times.name).read_text(encoding="utf-8"))
    return Run(seconds, tasks, sum(int(number) for number in re.findall(r" changed=(\d+)", said)))


def remove() -> None:
    play("playbooks/lab_down.yml", "-e", json.dumps({"lab_names": [LAB]}))


def first_token(url: str) -> None:
    """Waits for a token that a model has written, as a client sees it."""
    body = {"prompt": "def fibonacci(n):", "max_tokens": 48, "seed": 7, "temperature": 0.7}
    with httpx.stream("POST", f"{url}/v1/complete/stream", json=body, timeout=60, trust_env=False) as answer:
        for line in answer.iter_lines():
            event = json.loads(line[6:]) if line.startswith("data: ") else {}
            if "error" in event:
                break
            if event.get("token"):
                return
    sys.exit(f"cerebrum: no token came through {url}: {answer.status_code}")


def figure(name: str, values: list[float], began: float, **more: object) -> None:
    seconds, bar = statistics.median(values), BARS[name]
    report(name, unit="s", seconds=round(seconds, 1), bar=bar, met=seconds <= bar, runs=len(values), load=began, **more)


def load() -> float:
    """What else this machine has to do: a second processor's worth of it doubles every figure here."""
    return round(os.getloadavg()[0], 1)


def measure(rounds: int) -> int:
    before = load()
    hosts = play("playbooks/lab_up.yml")
    began = time.monotonic()
    deployed = play("site.yml")
    first_token(command("scripts/lab_url.sh")[1].strip())
    took = [time.monotonic() - began]
    figure("first_token", took, before, tasks=len(deployed.tasks), hosts_made_in=round(hosts.seconds, 1))

    before = load()
    again = [play("site.yml") for _ in range(rounds)]
    changed = sum(run.changed for run in again)
    figure("no_change", [run.seconds for run in again], before, tasks=len(again[-1].tasks), changed=changed)

    before = load()
    figure("up_again", [command("make", "--no-print-directory", "up")[0] for _ in range(rounds)], before)

    slowest = sorted(again[-1].tasks, key=lambda row: float(str(row["seconds"])), reverse=True)
    report("slowest", unit="s", tasks={str(row["task"]): row["seconds"] for row in slowest[:10]})
    return changed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2, help="runs of what changes nothing")
    parser.add_argument("--keep", action="store_true", help="leaves the hosts, until the next run or make down")
    given = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("cerebrum: make bench-deploy makes hosts on this machine, which takes root")
    remove()  # an interrupted benchmark's
    try:
        changed = measure(given.rounds)
    finally:
        if not given.keep:
            remove()
    sys.exit(1 if changed else 0)


if __name__ == "__main__":
    main()
