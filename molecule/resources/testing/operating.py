"""What tests of the operators' playbooks share: a client's key, playbooks run with it, faults that are mended."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from nodes import Node
from support import playbooks
from tunnel import until

KEY = "laptop-of-the-scenario"  # its digest is in the scenario's inventory
FOLDER = Path(os.environ.get("MOLECULE_EPHEMERAL_DIRECTORY", "/nonexistent"))
WIDTH = 100
MODEL = hashlib.sha256(b"mine").hexdigest()  # of a file that only the inference host has
STOP = "systemctl stop cerebrum-inference.socket 'cerebrum-inference@*'"


def run(book: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A playbook on the scenario's hosts, with the client's key where `cerebrum` has it."""
    path = FOLDER / "laptop.key"
    path.write_text(f"{KEY}\n", encoding="utf-8")
    inventory = os.environ["MOLECULE_INVENTORY_FILE"]
    return playbooks.play(book, *words, inventory=inventory, CEREBRUM_API_KEY_FILE=str(path), PAGER="cat")


def table(said: str, task: str) -> list[str]:
    """The lines that a task printed, as they stand in the terminal."""
    block = said.partition(f" : {task}] ")[2].partition("\n\n")[0]
    return [line for line in block.splitlines()[1:] if line.startswith("        ")]


def plain(said: str) -> str:
    return " ".join(said.split())


def unchanged(done: subprocess.CompletedProcess[str]) -> bool:
    return set(re.findall(r"changed=(\d+)", done.stdout)) == {"0"}


def stream(pi: Node, request_id: str = "") -> list[dict[str, Any]]:
    """A stream's events, asked for with the client's key."""
    headers = {"x-api-key": KEY} | ({"x-request-id": request_id} if request_id else {})
    body = {"prompt": "def fibonacci(n):", "max_tokens": 40, "temperature": 0}
    url = f"{pi.url}/v1/complete/stream"
    with httpx.stream("POST", url, json=body, headers=headers, timeout=60, trust_env=False) as answer:
        assert answer.status_code == 200, answer.read()
        return [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]


def serves(pi: Node) -> bool:
    """Whether a stream comes, and the edge says itself that nothing is missing."""
    ready = httpx.get(f"{pi.url}/ready", headers={"x-api-key": KEY}, timeout=10, trust_env=False).status_code == 200
    return ready and stream(pi)[-1].get("finish_reason") is not None


def is_ready(node: Node) -> bool:
    """A service that had lost its backend says so until it has looked again."""
    said = node.host.check_output(f"systemctl show --property=StatusText --value {node.instance()}")
    return str(said).strip() == "ready"


@contextmanager
def fault(pi: Node, node: Node, begin: str, end: str) -> Iterator[None]:
    """A host with a fault, which is mended whatever comes of it; and the system serves again."""
    node.host.check_output(begin)
    try:
        yield
    finally:
        node.host.check_output(end)
        until(lambda: serves(pi) and is_ready(pi), "the system serves again, and says so")


@contextmanager
def untouched(*nodes: Node) -> Iterator[None]:
    """Nothing of Cerebrum's, and no other setting, is written on the hosts meanwhile."""
    for node in nodes:
        node.host.check_output("touch /run/untouched")
    yield
    for node in nodes:
        # The edge may have no /var/lib/cerebrum. What is measured is written all the time.
        measured = r"\( -path '/var/lib/*/prometheus' -o -path '/var/lib/*/alertmanager' \) -prune"
        found = node.host.run(f"find /etc /opt /var/lib/cerebrum {measured} -o -newer /run/untouched -print")
        assert found.stdout == ""
