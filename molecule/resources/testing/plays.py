"""What tests do to a scenario's hosts: the shipped plays, whole or interrupted, under load and under observation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

import httpx

from crowd import Crowd
from nodes import Node
from support import playbooks
from support.repo import ROOT
from support.waiting import eventually

ABORTED = 86  # callback_plugins/abort_after.py
CALLBACKS = ROOT / "molecule/resources/callback_plugins"


def start(book: str, *words: str, inventory: str = "", root: Path = ROOT, **environment: str) -> subprocess.Popen[str]:
    """A shipped playbook that runs while its test goes on, on the scenario's hosts, unless an inventory is given."""
    inventory = inventory or os.environ["MOLECULE_INVENTORY_FILE"]
    return playbooks.start(book, *words, inventory=inventory, root=root, **environment)


def play(
    book: str, *words: str, abort_after: str = "", cache: Path | None = None, root: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """A shipped playbook on the scenario's hosts, interrupted after a task or whole; both streams are in stdout."""
    environment = {
        "ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS),
        "ANSIBLE_CALLBACKS_ENABLED": "abort_after",
        "CEREBRUM_TEST_ABORT_AFTER": abort_after,
    }
    if cache:
        environment |= {"ANSIBLE_CACHE_PLUGIN": "jsonfile", "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(cache)}
    inventory = os.environ["MOLECULE_INVENTORY_FILE"]
    done = playbooks.play(book, *words, inventory=inventory, root=root, **environment)
    # The end is what says why; the whole of a verbose run is for those who search it.
    assert done.returncode == ABORTED or not abort_after, done.stdout[-4000:]
    return done


class Load(Crowd):
    """Two clients that ask all the time, one for streams and one for whole answers; what went wrong, they keep."""

    def __init__(self, edge: Node) -> None:
        super().__init__(self._stream, self._whole)
        self._url = edge.url
        self.answered = {"stream": 0, "whole": 0}

    def more(self) -> None:
        """Waits until both clients were answered once more from beginning to end."""
        before = dict(self.answered)
        # One that was under way does not count.
        enough = {name: count + 2 for name, count in before.items()}
        self.until(lambda: all(self.answered[name] >= count for name, count in enough.items()), "answers", seconds=60)

    def _stream(self) -> None:
        body = {"prompt": "def fibonacci(n):", "max_tokens": 200, "temperature": 0}
        with httpx.stream("POST", f"{self._url}/v1/complete/stream", json=body, timeout=60, trust_env=False) as answer:
            assert answer.status_code == 200, answer.read()
            events = [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]
        last = events[-1]
        assert last.get("done"), "a stream was cut"
        assert "error" not in last, last
        self.answered["stream"] += 1

    def _whole(self) -> None:
        body = {"prompt": "def greet(name):", "max_tokens": 16}
        answer = httpx.post(f"{self._url}/v1/complete", json=body, timeout=60, trust_env=False)
        assert answer.status_code == 200, answer.text
        self.answered["whole"] += 1


_SAMPLE = """
import os, pathlib, signal, sys, time
over, seen = [], set()
signal.signal(signal.SIGTERM, lambda *_: over.append(1))
print("sampling", flush=True)
while not over:
    for folder in os.listdir("/proc"):
        if folder.isdigit():
            for name in ("cmdline", "environ"):
                try:
                    seen.add(pathlib.Path("/proc", folder, name).read_bytes())
                except OSError:
                    pass
    time.sleep(0.01)
sys.stdout.buffer.write(b"\\n".join(seen))
"""


class Sampler:
    """Command lines and environments of every process of this machine, which the hosts' are among, again and again."""

    def __enter__(self) -> Self:
        self._file = tempfile.TemporaryFile()
        self._process = subprocess.Popen([sys.executable, "-c", _SAMPLE], stdout=self._file)
        eventually(lambda: os.fstat(self._file.fileno()).st_size > 0, "the sampler")
        return self

    def __exit__(self, *_exc: object) -> None:
        self._process.terminate()
        self._process.wait(60)
        self._file.seek(0)
        self.seen = self._file.read()
        self._file.close()
