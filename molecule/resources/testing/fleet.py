"""What tests of many machines share: hosts that die, clients that go on asking, and which host did the work."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from crowd import Crowd
from nodes import ROOT, Node
from support import playbooks
from support.waiting import eventually

STREAM: dict[str, Any] = {"prompt": "def fibonacci(n):", "max_tokens": 400, "temperature": 0}
SHORT: dict[str, Any] = {"prompt": "def greet(name):", "max_tokens": 8, "temperature": 0}
_names = playbooks.plugin("roles/lab_host/module_utils/lab_names.py")


class Lab:
    """The hosts from outside: what holds them up, and their cables."""

    def __init__(self) -> None:
        scenario = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"]).name
        # As role lab_host makes it.
        made = hashlib.sha256(f"{ROOT.resolve()} molecule-{scenario}".encode()).hexdigest()[:8]
        self._lab = _names.Lab(Path("/var/lib/cerebrum-lab"), made)

    def kill(self, host: str) -> None:
        """The host is gone in this moment, and nobody is told: its cable first, so that no connection is reset."""
        subprocess.run(["ip", "link", "set", self._lab.veth(host), "down"], check=True)
        (supervisor,) = _names.supervisors(self._lab.machine(host))
        os.kill(supervisor, signal.SIGKILL)
        eventually(lambda: not _names.supervisors(self._lab.machine(host)), f"the end of {host}", seconds=60)

    def revive(self, host: str) -> None:
        """It is switched on again, and boots by itself."""
        subprocess.run(["ip", "link", "set", self._lab.veth(host), "up"], check=True)
        done = playbooks.play("molecule/machines/mend.yml", inventory="localhost,")
        assert done.returncode == 0, done.stdout[-4000:]


@pytest.fixture(scope="session")
def lab() -> Lab:
    return Lab()


@dataclass(frozen=True)
class Answered:
    text: str
    last: dict[str, Any]


def stream(url: str, body: dict[str, Any] = STREAM) -> Answered:
    with httpx.stream("POST", f"{url}/v1/complete/stream", json=body, timeout=120, trust_env=False) as answer:
        assert answer.status_code == 200, f"{answer.status_code} {answer.read()!r}"
        events = [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]
    return Answered("".join(event.get("token", "") for event in events), events[-1])


class Clients(Crowd):
    """Three ask for streams, two for short answers, all the time; what went wrong, they keep.

    Args:
        gentle: one of each, with pauses, so that a play beside them has the machine's processors, too.
    """

    def __init__(self, url: str, *, gentle: bool = False) -> None:
        streams, shorts = (1, 1) if gentle else (3, 2)
        super().__init__(*[self._stream] * streams, *[self._short] * shorts, pause=0.5 if gentle else 0.0)
        self.url = url
        self._expected = stream(url).text
        assert self._expected, "a text to compare with"
        self._lock = threading.Lock()
        self.streams = self.resumed = self.shorts = 0

    def more(self, *, streams: int = 4, shorts: int = 4) -> None:
        """Waits until so many more were answered from beginning to end."""
        want = (self.streams + streams, self.shorts + shorts)
        self.until(lambda: self.streams >= want[0] and self.shorts >= want[1], "answers", seconds=120)

    def until_resumed(self, before: int) -> None:
        """Waits until more streams than that were taken up again."""
        self.until(lambda: self.resumed > before, "a stream that went on", seconds=90)

    def _stream(self) -> None:
        answer = stream(self.url)
        assert answer.last.get("done"), f"a stream was cut: {answer.last}"
        assert "error" not in answer.last, answer.last
        assert answer.text == self._expected, f"another text: {answer.text!r}, not {self._expected!r}"
        with self._lock:
            self.streams += 1
            self.resumed += bool(answer.last.get("resumed"))

    def _short(self) -> None:
        answer = httpx.post(f"{self.url}/v1/complete", json=SHORT, timeout=120, trust_env=False)
        assert answer.status_code == 200, answer.text
        with self._lock:
            self.shorts += 1


def metric(text: str, pattern: str) -> float:
    """The sum of the samples that the pattern matches."""
    return sum(float(value) for value in re.findall(rf"(?m)^{pattern} ([0-9.e+]+)$", text))


def work(edge: Node, host: Node, key: str) -> float:
    """Answers that the inference host has begun, asked for with a key of the edge."""
    text = _ask(host, "/metrics", _shown(edge, key)).text
    return metric(text, r'cerebrum_inference_http_requests_total\{[^}]*route="/v1/inference[^}]*\}')


def that_streams(edge: Node, *hosts: tuple[str, Node], key: str = "") -> str:
    """The first of the hosts that is seen well inside of one of the long streams; short answers do not count.

    Args:
        key: of the edge, where it has one for all of them.
    """
    keys = {name: _shown(edge, key or name) for name, _ in hosts}
    found: list[str] = []

    def look() -> bool:
        for name, host in hosts:
            slots = _ask(host, "/v1/slots", keys[name]).json()["slots"]
            written = [slot["generated_tokens"] for slot in slots if slot["state"] == "decode"]
            if any(SHORT["max_tokens"] < tokens < STREAM["max_tokens"] / 2 for tokens in written):
                found.append(name)
        return bool(found)

    eventually(look, "a host in the middle of a stream", seconds=60)
    return found[0]


def _shown(edge: Node, key: str) -> dict[str, str]:
    return {"x-api-key": edge.host.file(f"/etc/cerebrum/edge/keys/{key}").content_string}


def _ask(host: Node, path: str, headers: dict[str, str]) -> httpx.Response:
    return httpx.get(f"{host.url}{path}", headers=headers, timeout=30, trust_env=False)
