"""What people do while a system is upgraded: long streams, and requests at a steady rate. Every failure is kept."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from crowd import Crowd
from nodes import Node

RATE = 20  # requests a second
MOST = 60 * 60 * RATE  # whatever a test forgets, the load ends; a slow machine's plays take long
_SHARE = re.compile(r'cerebrum_edge_backend_answers_total\{backend="[^"]*",release="([^"]*)"\} (\S+)')
_OWN = re.compile(r'cerebrum_edge_build_info\{release="([^"]*)"')
_REQUESTS = re.compile(r"cerebrum_edge_http_requests_total\{[^}]*\} (\S+)")


class Traffic(Crowd):
    """Two streams of `tokens` tokens each, again and again, and RATE one-token completions a second, through the edge.

    Attributes:
        streams: the last events of streams that ended well.
        answers: one-token completions, by the release of the edge that answered.
        metrics: what /metrics said of the edge's own releases (`edge`) and of its backends' (`backend`): requests by
            release.
    """

    def __init__(self, edge: Node, *, tokens: int = 1500) -> None:
        super().__init__(self._stream, self._stream, self._keep_asking, self._look)
        self._url = edge.url
        self._tokens = tokens
        # One for all, since making one costs as much as an answer; a new connection each time, to be accepted anew.
        # With httpx.Limits(max_keepalive_connections=0), threads close what others have just been given.
        self._client = httpx.Client(timeout=60, trust_env=False, headers={"connection": "close"})
        self._sent = 0
        self.streams: list[dict[str, Any]] = []
        self.answers: Counter[str] = Counter()
        self.metrics: dict[str, dict[str, float]] = {"edge": {}, "backend": {}}
        self.slowest = 0.0

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        self._client.close()

    def more(self) -> None:
        """Waits until a second's worth of requests was answered once more."""
        before = self.answers.total()
        self.until(lambda: self.answers.total() >= before + RATE, "answers", seconds=60)

    def _keep_asking(self) -> None:
        due = time.monotonic()
        with ThreadPoolExecutor(32) as clients:
            while not self._over.wait(max(0.0, due - time.monotonic())) and self._sent < MOST:
                clients.submit(self.attempt, self._ask)
                self._sent += 1
                due += 1 / RATE
            clients.shutdown(cancel_futures=True)  # those that a slow machine has not begun yet

    def _stream(self) -> None:
        body = {"prompt": "!", "model": "slow", "max_tokens": self._tokens, "temperature": 0}
        with self._client.stream("POST", f"{self._url}/v1/complete/stream", json=body) as answer:
            assert answer.status_code == 200, answer.read()
            events = [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]
        *tokens, last = events
        assert last.get("done"), "a stream was cut"
        assert "error" not in last, last
        assert last["total_tokens"] == self._tokens, last
        # Every token of this model is the same character: one that was lost or came twice shows.
        assert "".join(event["token"] for event in tokens) == "!" * self._tokens
        self.streams.append(last)

    def _ask(self) -> None:
        began = time.monotonic()
        body = {"prompt": "def greet(name):", "model": "cerebrum-tiny", "max_tokens": 1}
        answer = self._client.post(f"{self._url}/v1/complete", json=body)
        assert answer.status_code == 200, answer.text
        self.answers[answer.headers["x-cerebrum-release"]] += 1
        self.slowest = max(self.slowest, time.monotonic() - began)

    def _look(self) -> None:
        self._over.wait(0.25)
        text = self._client.get(f"{self._url}/metrics").text
        own = _OWN.search(text)
        assert own, "the edge does not name its release"
        requests = sum(float(value) for value in _REQUESTS.findall(text))
        self.metrics["edge"][own[1]] = max(requests, self.metrics["edge"].get(own[1], 0))
        for release, value in _SHARE.findall(text):
            self.metrics["backend"][release] = max(float(value), self.metrics["backend"].get(release, 0))
