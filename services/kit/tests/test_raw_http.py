"""What the framework's defaults let through or answer badly, each over a bare socket against a real process."""

from __future__ import annotations

import json
import socket

import pytest

from support.process import ServiceProcess
from support.raw import RawClient, request

MACHINE = socket.gethostname().partition(".")[0]


def ask(probe: ServiceProcess, data: bytes) -> tuple[int, dict[str, object]]:
    with RawClient(probe.port) as client:
        client.send(data)
        answer = client.answer()
    error = answer.json()["error"] if answer.status >= 400 else answer.json()
    return answer.status, error


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_nan_is_a_422_that_names_the_field(probe: ServiceProcess, number: str) -> None:
    status, error = ask(probe, request("/echo", b'{"text": "x", "share": %s}' % number.encode()))
    assert (status, error["code"], error["param"]) == (422, "invalid_request", "share")


def test_half_a_surrogate_pair_is_refused(probe: ServiceProcess) -> None:
    status, error = ask(probe, request("/echo", b'{"text": "\\ud800"}'))
    assert (status, error["code"], error["param"]) == (422, "invalid_request", "text")


def test_whole_surrogate_pair_is_text(probe: ServiceProcess) -> None:
    status, body = ask(probe, request("/echo", b'{"text": "\\ud83d\\ude00"}'))
    assert (status, body["text"]) == (200, "\U0001f600")


def test_unknown_field_is_named(probe: ServiceProcess) -> None:
    status, error = ask(probe, request("/echo", b'{"text": "x", "numbr": 3}'))
    assert (status, error["param"], error["message"]) == (422, "numbr", "numbr: no such field")


@pytest.mark.parametrize(
    "body",
    [b"{", b"\xff\xfe", b'{"text": "\xff"}', b"[" * 100_000, b'{"number": ' + b"9" * 5000 + b"}", b"\x1f\x8b\x08\x00"],
    ids=["cut", "no utf-8", "no utf-8 inside", "deep", "long integer", "gzip"],
)
def test_malformed_json_is_a_400_or_422_and_never_a_500(probe: ServiceProcess, body: bytes) -> None:
    status, error = ask(probe, request("/echo", body[:4000]))
    assert status in (400, 422)
    assert error["code"] == "invalid_request"


def test_json_that_is_cut_is_a_400_that_says_so(probe: ServiceProcess) -> None:
    status, error = ask(probe, request("/echo", b'{"text": '))
    assert status == 400
    assert str(error["message"]).startswith("The body is not valid JSON: ")


def test_error_shape_is_the_same_for_unknown_paths_and_methods(probe: ServiceProcess) -> None:
    assert ask(probe, request("/nowhere"))[1]["code"] == "not_found"
    status, error = ask(probe, request("/echo", method="GET"))
    assert (status, error["code"]) == (405, "method_not_allowed")
    assert set(error) == {"message", "type", "code", "param", "request_id"}


def test_internal_error_tells_nothing_of_the_exception(probe: ServiceProcess) -> None:
    with RawClient(probe.port) as client:
        client.send(request("/boom", method="GET"))
        answer = client.answer()
    assert (answer.status, answer.code) == (500, "internal")
    assert b"hunter2" not in answer.body


def test_content_length_with_transfer_encoding_is_one_400_and_the_end(probe: ServiceProcess) -> None:
    smuggled = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    data = (
        b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled
    )
    with RawClient(probe.port) as client:
        client.send(data)
        answer = client.answer()
        assert (answer.status, answer.code) == (400, "invalid_request")
        assert client.is_closed()


@pytest.mark.parametrize(
    "head",
    [
        b"GET /health HTTP/1.1\nHost: localhost\n\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-A: 1\r\n 2\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"NONSENSE\r\n\r\n",
    ],
    ids=["bare LF", "folded header", "two lengths", "no HTTP"],
)
def test_malformed_requests_are_refused_in_our_shape(probe: ServiceProcess, head: bytes) -> None:
    status, error = ask(probe, head)
    assert (status, error["code"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ("", 400, "invalid_request"),
        ("Host: localhost\r\nHost: evil.example\r\n", 400, "invalid_request"),
        ("Host: evil.example\r\n", 403, "forbidden"),
        ("Host: localhost.evil.example\r\n", 403, "forbidden"),
        ("Host: [::1\r\n", 403, "forbidden"),
    ],
)
def test_host_must_be_ours(probe: ServiceProcess, headers: str, status: int, code: str) -> None:
    answered, error = ask(probe, f"GET /health HTTP/1.1\r\n{headers}\r\n".encode())
    assert (answered, error["code"]) == (status, code)


@pytest.mark.parametrize(
    "host", ["localhost:7000", "127.0.0.1", "[::1]:7000", "CEREBRUM.example.", socket.gethostname(), f"{MACHINE}.local"]
)
def test_own_hosts_are_allowed(probe: ServiceProcess, host: str) -> None:
    status, _ = ask(probe, f"GET /health HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert status == 200


def test_slow_headers_are_cut_with_a_408(probe: ServiceProcess) -> None:
    with RawClient(probe.port) as client:
        client.send(b"GET /health HTTP/1.1\r\nHost: loc")
        answer = client.answer()
        assert (answer.status, answer.code) == (408, "request_timeout")
        assert client.is_closed()


def test_slow_body_is_cut_with_a_408(probe: ServiceProcess) -> None:
    with RawClient(probe.port) as client:
        head = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: mine-1\r\nContent-Length: 100\r\n\r\n{"
        client.send(head)
        answer = client.answer()
        assert (answer.status, answer.code, answer.headers["x-request-id"]) == (408, "request_timeout", "mine-1")
        assert client.is_closed()


def test_silent_connection_is_closed_without_an_answer(probe: ServiceProcess) -> None:
    with RawClient(probe.port) as client:
        assert client.is_closed()


def test_slow_headers_of_a_second_request_are_cut_too(probe: ServiceProcess) -> None:
    with RawClient(probe.port) as client:
        client.send(request("/health", method="GET"))
        assert client.answer().status == 200
        client.send(b"GET /hea")
        assert client.answer().status == 408


def test_too_many_headers(probe: ServiceProcess) -> None:
    status, error = ask(probe, request("/health", method="GET", headers=tuple(f"X-{n}: 1" for n in range(30))))
    assert (status, error["code"]) == (431, "headers_too_large")


@pytest.mark.parametrize("size", [9000, 200_000])
def test_too_large_headers(probe: ServiceProcess, size: int) -> None:
    with RawClient(probe.port) as client:
        client.send(request("/health", method="GET", headers=("X-Large: " + "a" * size,)))
        answer = client.answer()
    assert (answer.status, answer.code) == (431, "headers_too_large")


def test_endless_header_is_cut(probe: ServiceProcess) -> None:
    with RawClient(probe.port) as client:
        client.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Endless: " + b"a" * 20_000)
        assert client.answer().status == 431


def test_small_header_with_a_large_body_behind_it_is_fine(probe: ServiceProcess) -> None:
    body = json.dumps({"text": "x" * 4000}).encode()
    with RawClient(probe.port) as client:
        whole = request("/echo", body)
        client.send(whole[:20])
        client.send(whole[20:])
        assert client.answer().status == 200


def test_declared_body_over_the_cap_is_refused_before_it_is_sent(probe: ServiceProcess) -> None:
    with RawClient(probe.port) as client:
        client.send(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
        answer = client.answer()
        assert (answer.status, answer.code) == (413, "prompt_too_large")
        assert client.is_closed()


def test_client_that_is_still_sending_gets_the_refusal_and_no_reset(probe: ServiceProcess) -> None:
    body = b"x" * 8_000_000
    with RawClient(probe.port) as client:
        client.send(request("/echo", body))
        answer = client.answer()
        assert (answer.status, answer.code) == (413, "prompt_too_large")


def test_chunked_body_is_counted_while_it_is_read(probe: ServiceProcess) -> None:
    with RawClient(probe.port) as client:
        client.send(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(5):
            client.send(b"400\r\n" + b"a" * 1024 + b"\r\n")
        answer = client.answer()
        assert (answer.status, answer.code) == (413, "prompt_too_large")


def test_keep_alive_serves_the_next_request(probe: ServiceProcess) -> None:
    with RawClient(probe.port) as client:
        for _ in range(3):
            client.send(request("/echo", b'{"text": "x"}'))
            assert client.answer().status == 200


@pytest.mark.parametrize(
    ("given", "kept"), [("abc-1.2_X", True), ("a" * 128, True), ("a" * 129, False), ("a b", False), ("\xe4", False)]
)
def test_request_id_is_kept_when_it_is_safe(probe: ServiceProcess, given: str, kept: bool) -> None:
    with RawClient(probe.port) as client:
        client.send(request("/health", method="GET", headers=(f"X-Request-ID: {given}",)))
        echoed = client.answer().headers["x-request-id"]
    assert (echoed == given) is kept
    assert kept or len(echoed) == 36


def test_request_id_is_in_errors_and_in_the_log(probe: ServiceProcess) -> None:
    with RawClient(probe.port) as client:
        client.send(request("/nowhere", headers=("X-Request-ID: trace-me-77",)))
        assert client.answer().json()["error"]["request_id"] == "trace-me-77"
        # The line is written after the last byte; the next answer on this connection comes after the line.
        client.send(request("/health", method="GET"))
        client.answer()
    rows = [json.loads(line) for line in probe.log.splitlines() if "trace-me-77" in line]
    assert [row["status"] for row in rows if row["event"] == "request"] == [404]
