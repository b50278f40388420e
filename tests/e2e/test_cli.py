"""The terminal client, as a process with its own terminal manners."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from support.fake_upstream import CLOSE_DELIMITED, fake_upstream, token
from support.process import console_script
from support.system import LONG_CONTEXT, System
from support.terminal import cerebrum_terminal
from support.waiting import eventually

CEREBRUM = console_script("cerebrum")


def cerebrum(*words: str, url: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [CEREBRUM, *words],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "CEREBRUM_URL": url, "COLUMNS": "200"},
        timeout=60,
    )


def test_ask_streams_to_stdout_and_tells_the_cost_on_stderr(system: System) -> None:
    done = cerebrum("ask", "def fibonacci(n):", "--max-tokens", "8", "--temperature", "0", url=system.edge.url)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "8 tokens in" in done.stderr
    assert "cerebrum-tiny · python · length" in done.stderr


def test_prompt_from_standard_input_and_an_address_with_v1(system: System) -> None:
    done = cerebrum("ask", "-", "-n", "4", "-l", "go", url=f"{system.edge.url}/v1/", stdin="package main\n")
    assert done.returncode == 0, done.stderr
    assert "· go ·" in done.stderr


def test_status_shows_both_services_and_the_models(system: System) -> None:
    done = cerebrum("status", url=system.edge.url)
    assert done.returncode == 0, done.stderr
    for words in ("edge", "inference (vps)", "cerebrum-tiny", "ok"):
        assert words in done.stdout
    facts = json.loads(cerebrum("status", "--json", url=system.edge.url).stdout)
    assert facts["backend"]["health"]["service"] == "inference"


def test_errors_are_one_line_with_the_request_id(system: System) -> None:
    done = cerebrum("ask", "x", "--model", "gpt-9", url=system.edge.url)
    assert done.returncode == 1
    assert done.stderr.startswith("cerebrum: There is no model 'gpt-9'; available are: cerebrum-tiny. [model_not_found")
    assert len(done.stderr.splitlines()) == 1


def test_no_edge_at_the_address_is_said_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    for words in (("ask", "x"), ("status",)):
        done = cerebrum(*words, url=url)
        assert done.returncode == 1
        assert done.stderr == f"cerebrum: no edge answers at {url}; is it running, and is CEREBRUM_URL right?\n"


@pytest.mark.parametrize("url", ["localhost:7000", "ftp://x", "http://[::1", "not a url"])
def test_address_that_is_none_is_said_so(url: str) -> None:
    done = cerebrum("status", url=url)
    assert done.returncode == 1
    assert url.split(":")[0] in done.stderr
    assert "Traceback" not in done.stderr


def test_cut_stream_is_a_failure() -> None:
    def ends_early(connection: socket.socket) -> None:
        connection.sendall(CLOSE_DELIMITED + token("abc", 1))

    with fake_upstream(ends_early) as fake:
        done = cerebrum("ask", "x", url=fake.url)
    assert done.returncode == 1
    assert done.stdout.startswith("abc")
    assert "cut before its end" in done.stderr


def test_reader_that_stops_reading_is_no_traceback(system: System) -> None:
    command = f"{CEREBRUM} ask 'def f():' -n {LONG_CONTEXT} -t 0 --url {system.edge.url} | head -c 20"
    done = subprocess.run(["/bin/bash", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    assert len(done.stdout) == 20
    assert "Traceback" not in done.stderr


def test_interrupt_ends_quietly(system: System) -> None:
    argv = [CEREBRUM, "ask", "def f():", "-n", str(LONG_CONTEXT), "-t", "0", "--url", system.edge.url]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(5)
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(ValueError):
            process.stdout.read()
        assert process.wait(20) == 130
        assert process.stderr.read() == b""


def test_key_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    done = cerebrum("status", "--api-key-file", str(tmp_path / "none"), url="http://127.0.0.1:1")
    assert done.returncode == 1
    assert done.stderr == f"cerebrum: {tmp_path / 'none'}: No such file or directory\n"


def test_interrupt_in_a_conversation_frees_the_backends_slot(system: System, tmp_path: Path) -> None:
    with cerebrum_terminal(url=system.edge.url, home=tmp_path) as terminal:
        terminal.prompt()
        for line in (f":tokens {LONG_CONTEXT}", ":temp 0"):
            terminal.type(line)
            terminal.prompt()
        terminal.type("def f():")
        eventually(lambda: system.slots_busy() == 1, "the slot works")
        terminal.interrupt()
        assert "stopped" in terminal.prompt()
        eventually(lambda: system.slots_busy() == 0, "the slot is free")
        terminal.type(":tokens 4")
        terminal.prompt()
        terminal.type("def f():")
        assert "4 tokens" in terminal.prompt()


def test_conversation_outlives_an_edge_that_is_killed(own_system: System, tmp_path: Path) -> None:
    with cerebrum_terminal(url=own_system.edge.url, home=tmp_path) as terminal:
        terminal.prompt()
        terminal.type(f":tokens {LONG_CONTEXT}")
        terminal.prompt()
        terminal.type("def f():")
        eventually(lambda: own_system.slots_busy() == 1, "the slot works")
        own_system.edge.process.kill()
        assert "broke" in terminal.prompt()
        terminal.press("\x04")
        assert terminal.end() == 0


def test_doctor_finds_every_link_of_a_running_system_well(system: System) -> None:
    done = cerebrum("doctor", url=system.edge.url)
    assert done.returncode == 0, done.stdout
    assert "BROKEN" not in done.stdout


def test_doctor_sees_that_the_backend_is_gone(own_system: System) -> None:
    own_system.inference.process.kill()
    own_system.inference.process.wait()
    done = cerebrum("doctor", url=own_system.edge.url)
    assert done.returncode == 1
    assert "BROKEN" in done.stdout
