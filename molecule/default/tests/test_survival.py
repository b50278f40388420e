"""The inference service is killed while streams run, and the service manager starts it again: no client sees it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx

from nodes import Node

BODY = {"prompt": "def fibonacci(n):", "max_tokens": 480, "temperature": 0}


def answer(url: str) -> list[dict[str, Any]]:
    with httpx.stream("POST", f"{url}/v1/complete/stream", json=BODY, timeout=60, trust_env=False) as stream:
        return [json.loads(line.removeprefix("data: ")) for line in stream.iter_lines() if line.startswith("data: ")]


def until(found: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + 60
    while not found():
        assert time.monotonic() < give_up, what
        time.sleep(0.01)


def test_streams_go_on_when_the_inference_service_is_killed_and_started_again(pi: Node, vps: Node) -> None:
    undisturbed = answer(pi.url)[-1]
    over, answers = threading.Event(), list[list[dict[str, Any]]]()

    def ask() -> None:
        while not over.is_set():
            answers.append(answer(pi.url))

    clients = [threading.Thread(target=ask) for _ in range(2)]
    for client in clients:
        client.start()
    try:
        until(lambda: len(answers) >= 4, "answers before the fault")

        def was_taken_up() -> bool:
            """A kill between two streams cuts none, and says nothing."""
            until(lambda: len(vps.instances()) == 1, "the inference service")
            vps.host.check_output(f"systemctl kill --kill-who=main --signal=SIGKILL {vps.instance()}")
            before = len(answers)
            until(lambda: len(answers) >= before + 3, "answers behind the fault")
            return any(events[-1].get("resumed") for events in answers)

        until(was_taken_up, "a stream that was taken up again")
    finally:
        over.set()
        for client in clients:
            client.join(60)
    for events in answers:
        last = events[-1]
        assert last["done"] is True
        assert "error" not in last
        assert last["total_tokens"] == undisturbed["total_tokens"]
        totals = [event["total_tokens"] for event in events]
        assert totals == sorted(totals), "no token comes twice"
    assert "cerebrum_edge_stream_resumes_total" in httpx.get(f"{pi.url}/metrics", trust_env=False).text
