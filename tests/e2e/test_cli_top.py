"""`cerebrum top` in a real terminal and into a pipe, with real services."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.fake_upstream import CHUNKED, FakeUpstream, chunk, fake_upstream
from support.process import console_script, listening_socket, running
from support.system import System, edge_environment
from support.terminal import ESCAPES, Terminal, cerebrum_terminal, terminal

EDGE = [console_script("cerebrum-edge")]
ENTERS, LEAVES, CURSOR_BACK = "\x1b[?1049h", "\x1b[?1049l", "\x1b[?25h"
ASK = {"prompt": "def fibonacci(n):", "max_tokens": 40, "temperature": 0}


def once(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [console_script("cerebrum"), "top", *words],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], **environment},
        timeout=60,
    )


@pytest.fixture(scope="module")
def worked(system: System) -> System:
    """Both services, after a few answers and a refusal."""
    with httpx.Client(base_url=system.edge.url, timeout=60, trust_env=False) as client:
        for path in ("/v1/complete", "/v1/complete/stream"):
            assert client.post(path, json=ASK).status_code == 200
        assert client.post("/v1/complete", json={**ASK, "model": "gpt-9"}).status_code == 404
    return system


@pytest.fixture
def inference_key(worked: System, tmp_path: Path) -> Path:
    file = tmp_path / "key"
    file.write_text(worked.key + "\n", encoding="utf-8")
    return file


def test_a_pipe_gets_one_picture(worked: System, inference_key: Path) -> None:
    done = once("--url", worked.edge.url, "--inference", worked.inference.url, "--inference-key-file", inference_key)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "rates since the start" in done.stdout
    for origin in ("edge       ", "inference  "):
        assert re.search(rf"^{origin}  127\.0\.0\.1:\d+ ready development$", done.stdout, re.MULTILINE)
    shown = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert "yes" in shown["answering"]
    assert "caller_error" in shown["answers"]
    assert "p50" in shown["first"]
    assert "2 idle" in shown["slots"]
    assert "closed" in shown["vps"]
    assert "kept" in shown["cerebrum-tiny"]
    assert "alert" not in shown
    assert worked.key not in done.stdout + done.stderr


def test_what_a_host_keeps_to_itself_is_told_and_the_rest_is_shown(worked: System) -> None:
    done = once("--once", "--inference", worked.inference.url, CEREBRUM_URL=worked.edge.url)
    assert done.returncode == 0
    assert f"! {worked.inference.url} asks for a key; give one that it knows by --inference-key-file" in done.stdout
    assert "answering    yes" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--url", "http://127.0.0.1:1"], "no edge answers at http://127.0.0.1:1; is it running, and is --url or"),
        (["--prometheus", "http://127.0.0.1:1"], "no Prometheus answers at http://127.0.0.1:1"),
        (["--prometheus", "127.0.0.1:9090"], "'127.0.0.1:9090' is not a Prometheus's address; write http://HOST:PORT"),
        (
            ["--inference", "http://me:pw@vps"],
            "must not hold a name or a password; write http://vps and give the key by",
        ),
        (["--prometheus", "http://x", "--inference", "http://y"], "leave --inference out"),
        (["--inference-key-file", "f"], "needs the address that the key is for: --inference URL"),
        (["--inference", "http://x", "--inference-key-file", "/none"], "/none: No such file or directory"),
    ],
)
def test_what_cannot_be_looked_at_gets_a_line(words: list[str], said: str) -> None:
    done = once("--once", *words)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.startswith("cerebrum: ")
    assert len(done.stderr.splitlines()) == 1
    assert "pw" not in done.stderr


def test_another_server_is_no_source(worked: System) -> None:
    assert "answered 404 to /api/v1/query; is it a Prometheus?" in once("--prometheus", worked.edge.url).stderr
    with fake_upstream(lambda connection: connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nhello {\n")) as fake:
        done = once("--url", fake.url)
    assert done.returncode == 1
    assert "/metrics is no page of metrics" in done.stderr


def test_dumb_terminals_get_one_picture_without_escapes(worked: System, tmp_path: Path) -> None:
    with cerebrum_terminal("top", url=worked.edge.url, home=tmp_path, TERM="dumb") as at:
        assert at.end() == 0
    assert "answering    yes" in at.written
    assert "\x1b" not in at.written


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        ("q", 0),
        ("\x04", 0),
        ("\x03", 130),
        (signal.SIGTERM, 128 + signal.SIGTERM),
        (signal.SIGHUP, 128 + signal.SIGHUP),
    ],
)
def test_it_ends_and_puts_the_terminal_back(
    worked: System, tmp_path: Path, ends: str | signal.Signals, code: int
) -> None:
    words = f"trap : INT; stty -g; {console_script('cerebrum')} top; echo code $?; stty -g; cat >/dev/null"
    with terminal("/bin/sh", "-c", words, home=tmp_path, folder=tmp_path, CEREBRUM_URL=worked.edge.url) as at:
        before = at.wait_for(ENTERS)
        at.wait_for("answering")
        if isinstance(ends, str):
            at.press(ends)
        else:
            os.kill(child_of(at.child.pid), ends)
        at.wait_for(LEAVES)
        at.wait_for(f"code {code}\r\n")
        assert at.wait_for("\r\n").strip() == ESCAPES.sub("", before).strip()
    assert CURSOR_BACK in at.written
    assert "Traceback" not in at.written


def child_of(parent: int) -> int:
    """The process that a shell waits for."""
    return int(Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()[0])


@pytest.fixture
def top(worked: System, tmp_path: Path) -> Iterator[Terminal]:
    """A picture that is not made anew by itself within the test."""
    with cerebrum_terminal("top", "--interval", "60", url=worked.edge.url, home=tmp_path, size=(40, 100)) as at:
        at.wait_for("failures")
        yield at


def test_a_new_size_is_drawn_at_once(top: Terminal) -> None:
    top.child.setwinsize(12, 50)
    top.wait_for("answering")
    top.child.setwinsize(40, 120)
    top.wait_for("answering")
    top.wait_for("failures")
    top.press("q")
    assert top.end() == 0


def test_other_keys_do_nothing_and_are_not_shown(top: Terminal) -> None:
    # Ctrl-Z is one of them: a stopped program would leave the terminal as it is.
    assert termios.tcgetattr(top.child.child_fd)[6][termios.VSUSP] == b"\0"
    top.press("x\r\x1a")
    top.press("q")
    assert top.end() == 0
    assert "x" not in ESCAPES.sub("", top.written.rpartition("failures")[2])


def test_pictures_follow_what_happens(worked: System, tmp_path: Path) -> None:
    with (
        httpx.Client(base_url=worked.edge.url, timeout=60, trust_env=False) as client,
        cerebrum_terminal("top", "--interval", "0.2", url=worked.edge.url, home=tmp_path) as at,
    ):
        at.wait_for("over the last")
        assert client.post("/v1/complete", json={**ASK, "model": "gpt-9"}).status_code == 404
        at.wait_for("caller_error")
        at.press("q")
        assert at.end() == 0


def test_an_edge_that_goes_away_is_told_and_comes_back(worked: System, tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text(worked.key + "\n", encoding="utf-8")
    environment = edge_environment(worked.inference.url, key_file=key_file)
    with (
        listening_socket() as listener,
        running(EDGE, environment, listener=listener) as first,
        cerebrum_terminal("top", "--interval", "0.2", url=first.url, home=tmp_path) as at,
    ):
        at.wait_for("answering")
        first.process.kill()
        first.process.wait()
        # The socket is still there, as systemd's is: connections wait for the next instance.
        at.wait_for("was silent for 5 s")
        with running(EDGE, environment, listener=listener):
            at.wait_for("answering")
            at.press("q")
            assert at.end() == 0


def test_a_source_that_hangs_keeps_nobody(tmp_path: Path) -> None:
    asked, release = threading.Event(), threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(CHUNKED)
        asked.set()
        while not release.wait(1):  # often enough for no timeout to be met
            connection.sendall(chunk(b"# on and on\n"))

    with fake_upstream(drip) as fake, cerebrum_terminal("top", url=fake.url, home=tmp_path) as at:
        at.wait_for("looking")
        assert asked.wait(20)
        at.press("q")
        assert at.end() == 0
        release.set()


def test_the_key_goes_to_the_edge_and_nowhere_else(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("crb_" + "k" * 40 + "\n", encoding="utf-8")
    with fake_upstream(lambda connection: connection.sendall(UNAUTHORIZED)) as fake:
        done = once("--once", "--url", fake.url, CEREBRUM_API_KEY_FILE=str(key))
        assert done.returncode == 1
        assert done.stderr == f"cerebrum: {fake.url} does not know this key; give one that it knows by {BY}\n"
        assert keys_of(fake) == ["crb_" + "k" * 40]


UNAUTHORIZED = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\n{}"
BY = "--api-key-file or CEREBRUM_API_KEY_FILE"


def keys_of(fake: FakeUpstream) -> list[str]:
    lines = [line for request in fake.requests for line in request.decode().splitlines()]
    return [line.split(": ")[1] for line in lines if line.lower().startswith("x-api-key")]


def test_help_names_every_option() -> None:
    done = once("--help", COLUMNS="120", TERM="dumb")
    for option in ("--prometheus", "--inference", "--inference-key-file", "--interval", "--once", "--url"):
        assert option in done.stdout
