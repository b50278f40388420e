"""What tests of the ssh tunnel share: its state, requests that go through it, and waiting for both."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx

from nodes import Node

UNIT = "cerebrum-tunnel@vps.service"
BODY = {"prompt": "def fibonacci(n):", "max_tokens": 480, "temperature": 0}


def until(found: Callable[[], bool], what: str) -> None:
    """Waits for what another process does; a host that is just starting again answers nothing."""
    give_up = time.monotonic() + 90
    while True:
        try:
            if found():
                return
        except (RuntimeError, AssertionError, httpx.TransportError):
            pass
        assert time.monotonic() < give_up, what
        time.sleep(0.05)


def shown(pi: Node, name: str) -> str:
    """A property of the tunnel's unit."""
    return str(pi.host.check_output(f"systemctl show --property={name} --value {UNIT}"))


def stream(pi: Node) -> list[dict[str, Any]]:
    """A stream's events, all of them; none if it had not begun when the way ended (502), or found none (503)."""
    url = f"{pi.url}/v1/complete/stream"
    with httpx.stream("POST", url, json=BODY, timeout=120, trust_env=False) as answer:
        assert answer.status_code in {200, 502, 503}, answer.read()
        return [json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line.startswith("data: ")]


def completes(pi: Node) -> bool:
    body = {**BODY, "max_tokens": 4}
    return httpx.post(f"{pi.url}/v1/complete", json=body, timeout=60, trust_env=False).status_code == 200
