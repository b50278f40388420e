"""The edge's OpenAPI document is true: whatever is made from it gets an answer that it describes, and never a 5xx."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from support.fake_upstream import CLOSE_DELIMITED, DONE, FakeUpstream, fake_upstream, token
from support.process import ServiceProcess, console_script, running
from support.system import edge_environment

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]
EXAMPLES = 60  # of good and of bad requests, for each operation
OPERATIONS = [
    "GET /",
    "GET /health",
    "GET /metrics",
    "GET /ready",
    "GET /v1/doctor",
    "GET /v1/models",
    "GET /v1/stats",
    "GET /v1/vps/health",
    "POST /infill",
    "POST /v1/chat/completions",
    "POST /v1/complete",
    "POST /v1/complete/stream",
    "POST /v1/completions",
    "POST /v1/condense",
    "POST /v1/vps/health",
]
NATIVE = {"text": "ab", "content": "ab", "total_tokens": 2, "inference_time": 0.1, "model": "m"}
FACTS: dict[str, Any] = {"finish_reason": "stop", "tokens_per_second": 1.0, "service": "inference", "status": "ok"}
HEAD = {"id": "x", "created": 1, "model": "m"}
CHOICE = {"index": 0, "text": "a", "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}


def event(payload: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(payload).encode() + b"\n\n"


def behave(connection: socket.socket, fake: FakeUpstream) -> None:
    """A backend in good health: whatever it is asked, it has the same answer, in the form that was asked for."""
    asked = next(one for one in reversed(fake.requests) if not one.startswith(b"GET /v1/models"))
    path, _, body = asked.partition(b"\r\n")[0].split()[1], 0, asked.partition(b"\r\n\r\n")[2]
    chat = path.endswith(b"/chat/completions")
    kind = "chat.completion" if chat else "text_completion"
    if path.endswith(b"/stream"):
        connection.sendall(CLOSE_DELIMITED + token("a", 1) + DONE)
    elif body and json.loads(body).get("stream"):
        choice = {**CHOICE, "delta": {"content": "a"}, "tokens": [1]}
        chunk = {**HEAD, "object": kind + ".chunk" if chat else kind, "choices": [choice]}
        connection.sendall(CLOSE_DELIMITED + event(chunk) + b"data: [DONE]\n\n")
    else:
        answer = json.dumps({**HEAD, "object": kind, "choices": [CHOICE], **NATIVE, **FACTS}).encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(answer), answer))


@pytest.fixture(scope="module")
def edge() -> Iterator[ServiceProcess]:
    with (
        fake_upstream(lambda connection: behave(connection, fake)) as fake,
        running([console_script("cerebrum-edge")], edge_environment(fake.url)) as process,
    ):
        yield process


@pytest.fixture(scope="module")
def document(edge: ServiceProcess) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{edge.url}/openapi.json", trust_env=False).json()
    return found


def test_every_operation_is_looked_at(document: dict[str, Any]) -> None:
    found = [f"{verb.upper()} {path}" for path, verbs in document["paths"].items() for verb in verbs]
    assert sorted(found) == OPERATIONS


def test_errors_are_described_in_the_form_that_they_have(document: dict[str, Any]) -> None:
    assert not {"HTTPValidationError", "ValidationError"} & document["components"]["schemas"].keys()
    answers = document["paths"]["/v1/complete"]["post"]["responses"]
    assert answers.keys() >= {"200", "400", "401", "403", "404", "413", "422", "500", "502", "503", "504"}
    assert answers["422"] == {"$ref": "#/components/responses/Error422"}
    assert "model_not_found" in document["components"]["responses"]["Error404"]["description"]
    streamed = document["paths"]["/v1/complete/stream"]["post"]["responses"]["200"]["content"]
    assert list(streamed) == ["text/event-stream"]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_is_made_from_the_document_gets_an_answer_that_it_describes(
    edge: ServiceProcess, document: dict[str, Any], operation: str
) -> None:
    verb, path = operation.split()
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=edge.url)
    good, bad = (schema[path][verb].as_strategy(mode) for mode in schemathesis.GenerationMode)

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(case=st.one_of(good, bad))
    def run(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(checks=CHECKS)

    run()
