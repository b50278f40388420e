"""The engine at work on the hosts: streams side by side, a client that stops reading, a model that is in use."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from nodes import Node

# The shipped model goes on with this for as long as it may.
BODY = {"prompt": "def fibonacci(n):", "max_tokens": 480, "temperature": 0}
# A client of its own process, which can be stopped: prints the stream's lines as they come.
READER = """
import sys, httpx
options = {"headers": {"content-type": "application/json"}, "timeout": 60, "trust_env": False}
with httpx.stream("POST", sys.argv[1], content=sys.argv[2], **options) as answer:
    for line in answer.iter_lines():
        if line:
            print(line, flush=True)
"""


@pytest.fixture(scope="module")
def key(pi: Node) -> dict[str, str]:
    return {"x-api-key": pi.host.file("/etc/cerebrum/edge/keys/vps").content_string.strip()}


def slots(vps: Node, key: dict[str, str]) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = httpx.get(f"{vps.url}/v1/slots", headers=key, trust_env=False).json()["slots"]
    return listed


def until(found: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + 30
    while not found():
        assert time.monotonic() < give_up, what
        time.sleep(0.01)


@contextmanager
def streams(url: str, count: int, headers: dict[str, str] | None = None) -> Iterator[list[str]]:
    """So many clients that ask for one stream after the other, until the block ends; the last events are collected."""
    over, lasts = threading.Event(), list[str]()

    def ask() -> None:
        while not over.is_set():
            with httpx.stream("POST", url, json=BODY, headers=headers, timeout=60, trust_env=False) as answer:
                lasts.append([line for line in answer.iter_lines() if line.startswith("data: ")][-1])

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield lasts
    finally:
        over.set()
        for thread in threads:
            thread.join(60)


def test_two_streams_advance_together_through_both_hosts(pi: Node, vps: Node, key: dict[str, str]) -> None:
    with streams(f"{pi.url}/v1/complete/stream", 2) as lasts:
        until(lambda: [one["state"] for one in slots(vps, key)] == ["decode", "decode"], "two slots that decode")
    assert {json.loads(line.removeprefix("data: "))["total_tokens"] for line in lasts} == {480}
    until(lambda: all(one["state"] == "idle" for one in slots(vps, key)), "idle slots")


def test_client_that_stands_still_holds_up_nobody(pi: Node, vps: Node, key: dict[str, str]) -> None:
    command = [sys.executable, "-c", READER, f"{pi.url}/v1/complete/stream", json.dumps(BODY)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        client.stdout.readline()
        client.send_signal(signal.SIGSTOP)
        try:
            until(lambda: all(one["state"] == "idle" for one in slots(vps, key)), "idle slots")
            answer = httpx.post(f"{pi.url}/v1/complete", json={**BODY, "max_tokens": 8}, timeout=60, trust_env=False)
            assert answer.json()["total_tokens"] == 8
        finally:
            client.send_signal(signal.SIGCONT)
        rest = client.stdout.read()
    assert json.loads(rest.strip().splitlines()[-1].removeprefix("data: "))["total_tokens"] == 480


def test_model_in_use_is_not_unloaded(vps: Node, key: dict[str, str]) -> None:
    refusals = list[httpx.Response]()

    def unload() -> bool:
        answer = httpx.post(f"{vps.url}/v1/unload/cerebrum-tiny", headers=key, timeout=60, trust_env=False)
        if answer.status_code == 503:
            refusals.append(answer)
        return bool(refusals)

    with streams(f"{vps.url}/v1/inference/stream", 2, key) as lasts:
        until(unload, "a refusal")
    assert refusals[0].json()["error"]["message"] == "cerebrum-tiny is generating; it is not unloaded now."
    assert all('"done":true' in line and '"error"' not in line for line in lasts)


def test_library_was_checked_in_a_sandbox(vps: Node) -> None:
    lines = vps.host.check_output(f"journalctl --unit={vps.instance()} --no-pager --output=cat").splitlines()
    rows = [json.loads(line) for line in lines if line.startswith("{")]
    (checked,) = [row for row in rows if row["event"] == "llama.cpp works"]
    assert {"parent_death", "no_new_privs", "limits", "seccomp"} <= set(checked["sandbox"].split(","))
