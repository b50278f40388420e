"""Streams, disconnects, readiness and drain, on a real process."""

from __future__ import annotations

import json
import re
import signal
import sys
from pathlib import Path

import pytest

from support.process import ServiceProcess, running
from support.raw import RawClient, request
from support.waiting import eventually

PROBE = [sys.executable, str(Path(__file__).parent / "probe_service.py")]


def test_refusal_before_the_first_event_is_a_status(probe: ServiceProcess) -> None:
    with RawClient(probe.port) as client:
        client.send(request("/refuse", method="GET"))
        answer = client.answer()
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "overloaded", "2")


def test_failure_in_mid_stream_is_an_error_event(probe: ServiceProcess) -> None:
    with RawClient(probe.port) as client:
        client.send(request("/forever?fail_after=3", method="GET", headers=("Connection: close",)))
        text = client.read_to_end().decode()
    assert text.endswith("0\r\n\r\n")
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
    assert [event.get("count") for event in events] == [1, 2, 3, None]
    assert events[-1]["error"]["code"] == "internal"
    assert "hunter2" not in text


@pytest.mark.parametrize("name", ["forever", "job", "silent"])
def test_work_ends_when_the_client_leaves(probe: ServiceProcess, name: str) -> None:
    with RawClient(probe.port) as client:
        client.send(request(f"/{name}", method="GET"))
        if name == "job":
            with RawClient(probe.port) as other:
                other.send(request("/started", method="GET"))
                assert other.answer().status == 200
        else:
            client.read_until(b"\r\n\r\n")
    with RawClient(probe.port) as client:
        client.send(request(f"/ended/{name}", method="GET"))
        assert client.answer().json() == {"ended": name}


def test_client_that_does_not_read_is_cut_and_counted(probe: ServiceProcess) -> None:
    with RawClient(probe.port, receive_buffer=4096) as client:
        client.send(request("/flood", method="GET"))
        client.read_until(b"\r\n\r\n")
        with RawClient(probe.port) as other:
            other.send(request("/ended/flood", method="GET"))
            assert other.answer().json() == {"ended": "flood"}, "its work is over though it never read"
        rest = client.read_to_end()
    assert not rest.endswith(b"0\r\n\r\n"), "cut: an end as HTTP wants it would say that the stream is whole"

    def counted() -> bool:
        with RawClient(probe.port) as other:
            other.send(request("/metrics", method="GET"))
            lines = other.answer().body.decode().splitlines()
        return any("/flood" in line and 'outcome="client_too_slow"' in line for line in lines)

    eventually(counted, "the count")


def test_client_that_reads_slowly_is_not_cut(probe: ServiceProcess) -> None:
    """Many stalls' worth of data, read in parts that each come in time."""
    with RawClient(probe.port, receive_buffer=4096) as client:
        client.send(request("/flood", method="GET"))
        for _ in range(200):
            client.read_until(b"\n\n")


def test_stream_that_takes_long_to_open_shows_life_and_fails_by_an_event(probe: ServiceProcess) -> None:
    with RawClient(probe.port) as client:
        client.send(request("/slow", method="GET", headers=("Connection: close",)))
        text = client.read_to_end().decode()
    assert text.startswith("HTTP/1.1 200")
    assert ": keep-alive\n\n" in text
    assert '"code":"overloaded"' in text


def test_pipelined_request_is_not_read_and_the_first_answer_stays_whole(probe: ServiceProcess) -> None:
    with RawClient(probe.port) as client:
        client.send(request("/forever?fail_after=200", method="GET"))
        client.read_until(b'"count":3')
        # Half a request, whose deadline would come in the middle of the stream.
        client.send(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        text = client.read_to_end().decode()
    assert "HTTP/1.1" not in text
    assert '"count":200' in text
    assert text.endswith("0\r\n\r\n")


def test_two_requests_in_one_packet_are_one_answer_and_the_end(probe: ServiceProcess) -> None:
    with RawClient(probe.port) as client:
        client.send(request("/health", method="GET") + request("/health", method="GET"))
        assert client.answer().status == 200
        assert client.is_closed()


def test_client_that_leaves_with_a_pipelined_request_stops_the_first(probe: ServiceProcess) -> None:
    with RawClient(probe.port) as client:
        client.send(request("/forever", method="GET"))
        client.read_until(b'"count":3')
        client.send(request("/health", method="GET"))
    with RawClient(probe.port) as client:
        client.send(request("/ended/forever", method="GET"))
        assert client.answer().json() == {"ended": "forever"}


def test_locals_are_in_no_traceback_even_at_debug() -> None:
    with running(PROBE, {"PROBE_LOG_LEVEL": "DEBUG"}) as service:
        with RawClient(service.port) as client:
            client.send(request("/boom?canary=hunter3", method="GET"))
            assert client.answer().status == 500
        assert service.terminate() == 0
        assert "RuntimeError" in service.log
        assert "hunter3" not in service.log


def test_silence_is_filled_with_comments(probe: ServiceProcess) -> None:
    with RawClient(probe.port) as client:
        client.send(request("/silent", method="GET"))
        client.read_until(b"\r\n\r\n")
        for _ in range(2):
            client.read_until(b": keep-alive\n\n")


def test_ready_is_reported_with_its_status(own_probe: ServiceProcess) -> None:
    assert own_probe.status == "ready"
    assert own_probe.terminate() == 0
    own_probe.channel.setblocking(False)
    assert "STOPPING=1" in own_probe.channel.recv(4096).decode()


def test_problem_is_reported_instead_of_ready() -> None:
    with running(PROBE, {"PROBE_PROBLEM": "no backend"}) as service:
        assert service.status == "degraded: no backend"
        with RawClient(service.port) as client:
            client.send(request("/ready", method="GET"))
            assert client.answer().status == 503
            client.send(request("/health", method="GET"))
            assert client.answer().json()["problem"] == "no backend"


def test_watchdog_is_fed_by_the_loop_and_starves_with_it() -> None:
    with running(PROBE, {"WATCHDOG_USEC": "300000"}) as service:
        for _ in range(3):
            service.seen.clear()
            service.wait_for("WATCHDOG=1", 5)
        service.process.send_signal(signal.SIGSTOP)
        service.channel.settimeout(1.0)
        with pytest.raises(AssertionError, match="no WATCHDOG=never"):
            service.wait_for("WATCHDOG=never", 1.0)


def test_drain_lets_a_stream_run_then_ends_it_with_an_error_event(own_probe: ServiceProcess) -> None:
    with RawClient(own_probe.port) as client:
        client.send(request("/forever", method="GET"))
        client.read_until(b'"count":5')
        own_probe.process.send_signal(signal.SIGTERM)
        own_probe.wait_for("STOPPING=1")
        text = client.read_to_end().decode()
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
    assert len(events) > 20, "the stream went on while the service drained"
    assert events[-1]["error"]["code"] == "overloaded"
    assert text.endswith("0\r\n\r\n")
    assert own_probe.process.wait(10) == 0


def test_second_signal_ends_the_drain() -> None:
    with running(PROBE, {"PROBE_DRAIN": "3600"}) as service, RawClient(service.port) as client:
        client.send(request("/forever", method="GET"))
        client.read_until(b'"count":5')
        service.process.send_signal(signal.SIGTERM)
        service.wait_for("STOPPING=1")
        client.read_until(b'"count":20')
        service.process.send_signal(signal.SIGTERM)
        text = client.read_to_end().decode()
        assert service.process.wait(10) == 0
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
    assert events[-1]["error"]["code"] == "overloaded"


def test_drain_ends_a_waiting_job_with_503(own_probe: ServiceProcess) -> None:
    with RawClient(own_probe.port) as client:
        client.send(request("/job", method="GET"))
        with RawClient(own_probe.port) as other:
            other.send(request("/started", method="GET"))
            assert other.answer().status == 200
        own_probe.process.send_signal(signal.SIGTERM)
        answer = client.answer()
    assert (answer.status, answer.code) == (503, "overloaded")
    assert own_probe.process.wait(10) == 0


@pytest.mark.parametrize("before", ["nothing", "half a head", "a request"])
def test_request_on_its_way_when_the_drain_begins_is_answered_and_is_the_last(
    own_probe: ServiceProcess, before: str
) -> None:
    """A connection that was accepted cannot be handed to the release that comes: a reset would be a failed request."""
    asked = request("/echo", b'{"text": "x"}')
    with RawClient(own_probe.port) as client:
        sent = 0
        if before == "a request":
            client.send(asked)
            assert client.answer().headers.get("connection") != "close"
        else:
            sent = 20 if before == "half a head" else 0
            client.send(asked[:sent])
            with RawClient(own_probe.port) as other:  # who is answered came in behind the first
                other.send(asked)
                assert other.answer().status == 200
        own_probe.process.send_signal(signal.SIGTERM)
        own_probe.wait_for("STOPPING=1")
        client.send(asked[sent:])
        answer = client.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert client.is_closed()
    assert own_probe.process.wait(10) == 0


def test_idle_connections_do_not_hold_up_the_end(own_probe: ServiceProcess) -> None:
    with RawClient(own_probe.port) as client:
        client.send(request("/health", method="GET"))
        assert client.answer().status == 200
        assert own_probe.terminate() == 0


def test_metrics_use_route_templates_and_hold_nothing_of_the_client(probe: ServiceProcess) -> None:
    with RawClient(probe.port) as client:
        client.send(request("/some-path-of-a-client", method="GET"))
        client.answer()
        client.send(request("/metrics", method="GET"))
        text = client.answer().body.decode()
    assert 'route="unmatched"' in text
    assert "some-path-of-a-client" not in text
    assert 'cerebrum_probe_build_info{release="test",version="0"} 1.0' in text
    assert not re.search(r"_created[{ ]", text), "the time of each counter's creation"
