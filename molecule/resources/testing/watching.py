"""What tests of the monitoring share: Prometheus asked on its host, and the receiver that alerts come to."""

from __future__ import annotations

import base64
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nodes import Node
from support import playbooks
from support.repo import ROOT

TOLD = "/run/told.jsonl"
SCALE, WAITS = 0.1, 0.02  # what the scenario multiplies rules' times and Alertmanager's waits by
PROMETHEUS = "http://127.0.0.1:9090"
_ASK = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=30).read().decode())"


def asked(pi: Node, url: str) -> str:
    """What a server on the host's loopback answers there."""
    return str(pi.host.check_output(f"python3 -c {shlex.quote(_ASK)} {shlex.quote(url)}"))


def api(pi: Node, path: str) -> Any:
    return json.loads(asked(pi, f"{PROMETHEUS}/api/v1/{path}"))["data"]


def value(pi: Node, query: str) -> dict[str, float]:
    """An expression's samples, by the instance that they are of."""
    rows = api(pi, f"query?query={quote(query)}")["result"]
    return {row["metric"].get("instance", ""): float(row["value"][1]) for row in rows}


def until(found: Callable[[], Any], what: str, *, seconds: float) -> Any:
    """Waits for what another process does, and gives it back."""
    give_up = time.monotonic() + seconds
    while not (answer := found()):
        assert time.monotonic() < give_up, f"not within {seconds:g} s: {what}"
        time.sleep(0.5)
    return answer


def listen(pi: Node) -> None:
    """The receiver runs, and has been told nothing yet."""
    text = base64.b64encode((ROOT / "molecule/monitoring/receiver.py").read_bytes()).decode()
    pi.host.check_output("systemctl stop receiver 2>/dev/null; systemctl reset-failed receiver 2>/dev/null; true")
    pi.host.check_output(f": > {TOLD}; echo {text} | base64 -d > /run/receiver.py")
    pi.host.check_output(f"systemd-run --quiet --unit=receiver python3 /run/receiver.py {TOLD}")


def told(pi: Node) -> list[dict[str, Any]]:
    return [json.loads(line) for line in str(pi.host.check_output(f"cat {TOLD}")).splitlines()]


def heard(pi: Node, labels: Mapping[str, str], status: str, since: float) -> float | None:
    """When the receiver was told so of such an alert, if it was since then."""
    for row in told(pi):
        if row["status"] == status and row["at"] >= since and labels.items() <= row["labels"].items():
            return float(row["at"])
    return None


def targets(watcher: str) -> set[tuple[str, str]]:
    """What a Prometheus on this host asks, by job and instance, where `pi` is the edge and `vps` the inference host."""
    nodes = {("node", host) for host in ("pi", "vps", watcher)}
    return {("edge", "pi"), ("inference", "vps"), ("prometheus", watcher), ("alertmanager", watcher)} | nodes


def answering(watcher: Node, expected: set[tuple[str, str]]) -> bool:
    """Whether Prometheus asks exactly these, by job and instance, and all of them answer."""
    found = api(watcher, "targets?state=active")["activeTargets"]
    assert {frozenset(one["labels"]) for one in found} == {frozenset({"job", "instance"})}
    assert {(one["labels"]["job"], one["labels"]["instance"]) for one in found} == expected
    return all(one["health"] == "up" for one in found)


def play(*words: str, book: str = "playbooks/monitoring.yml") -> Any:
    """The monitoring's playbook, or another one, on the scenario's hosts."""
    return playbooks.play(book, *words, inventory=os.environ["MOLECULE_INVENTORY_FILE"])


def scaled(folder: Path, rules: float, waits: float) -> list[str]:
    """Words that give a play rules and a tree with shorter times, written into a folder."""
    for part, scale in (("rules", rules), ("tree", waits)):
        command = [sys.executable, "-m", "monitoring", "--scale", str(scale), "--out", str(folder / part)]
        subprocess.run(command, cwd=ROOT, check=True)
    return ["-e", f"prometheus_rules={folder}/rules/rules", "-e", f"alertmanager_tree={folder}/tree/tree.yml"]
