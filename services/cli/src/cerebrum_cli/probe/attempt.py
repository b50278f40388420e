"""Asks an edge for a token, and gives up in time whatever the edge, the network or a name server do."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from pathlib import Path

from cerebrum_cli.client import EdgeClient, EdgeFailure
from cerebrum_cli.probe.textfile import Result
from cerebrum_cli.settings import target
from cerebrum_kit.errors import ConfigurationError

# Any model goes on behind this, and its few tokens are in the backend's cache from the second time on.
_BODY = {"prompt": "def add(a, b):\n    return", "max_tokens": 1, "temperature": 0, "condense": "off"}


def attempt(url: str | None, key_file: Path | None, seconds: float) -> Result:
    """One completion, from the request to its last event, within `seconds`.

    A thread of its own does it: a timeout of the HTTP client is for each read, and names are looked up without any.
    """
    try:
        client = EdgeClient(target(url, key_file), idle_timeout=seconds)
    except ConfigurationError as exc:  # a key file that is gone is something found, too
        return Result(str(exc), 0.0, None)
    started = time.monotonic()
    firsts: queue.SimpleQueue[float] = queue.SimpleQueue()
    ended: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def ask() -> None:
        try:
            with contextlib.closing(client), contextlib.closing(client.stream(_BODY)) as events:
                for event in events:
                    if not event.get("done"):
                        firsts.put(time.monotonic() - started)
        except EdgeFailure as exc:
            ended.put(str(exc))
        else:
            ended.put(None)

    threading.Thread(target=ask, daemon=True).start()
    try:
        problem = ended.get(timeout=seconds)
    except queue.Empty:
        problem = f"the answer was not complete after {seconds:g} s"
    first = None if firsts.empty() else firsts.get()
    return Result(problem, time.monotonic() - started, first)
