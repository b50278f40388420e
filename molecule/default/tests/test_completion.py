"""A completion through both hosts, and what each of them remembers of it."""

from __future__ import annotations

import json
import uuid
from typing import Any

import httpx

from nodes import Node


def stream(url: str, body: dict[str, Any], request_id: str) -> tuple[httpx.Response, list[dict[str, Any]]]:
    with httpx.stream(
        "POST",
        f"{url}/v1/complete/stream",
        json=body,
        headers={"x-request-id": request_id},
        timeout=60,
        trust_env=False,
    ) as response:
        lines = [line for line in response.iter_lines() if line.startswith("data: ")]
    return response, [json.loads(line.removeprefix("data: ")) for line in lines]


def test_tokens_stream_through_both_hosts_under_one_request_id(pi: Node, vps: Node) -> None:
    request_id = f"molecule-{uuid.uuid4().hex}"
    body = {"prompt": "def fibonacci(n):", "max_tokens": 24, "temperature": 0}
    response, events = stream(pi.url, body, request_id)

    assert response.status_code == 200
    assert response.headers["x-request-id"] == request_id
    *tokens, done = events
    assert done["done"] is True
    assert done["model"] == "cerebrum-tiny"
    assert done["language"] == "python"
    assert done["total_tokens"] == 24
    assert "".join(event["token"] for event in tokens)
    for one, route in ((pi, "/v1/complete/stream"), (vps, "/v1/inference/stream")):
        (row,) = one.journal(request_id, route)
        assert (row["status"], row["outcome"]) == (200, "ok")
        assert row["key_id"] is None if one is pi else row["key_id"].startswith("pi.")


def test_prompt_and_answer_are_in_no_journal(pi: Node, vps: Node) -> None:
    marker = f"marker{uuid.uuid4().hex}"
    _, events = stream(pi.url, {"prompt": f"def {marker}(n):", "max_tokens": 8}, "molecule-marker")
    assert events[-1]["done"] is True
    for one in (pi, vps):
        assert one.host.run(f"journalctl --no-pager | grep -v grep | grep -c {marker}").stdout.strip() == "0"


def test_health_names_the_release(each: Node) -> None:
    facts = httpx.get(f"{each.url}/health", trust_env=False).json()
    assert facts["status"] == "ok"
    assert each.instance() == f"cerebrum-{each.service}@{facts['release']}.service"


def test_inference_refuses_who_has_no_key(vps: Node) -> None:
    answer = httpx.post(f"{vps.url}/v1/inference", json={"prompt": "x"}, trust_env=False)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "unauthorized"
