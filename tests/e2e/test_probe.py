"""`cerebrum probe` as a timer runs it, at edges that live, are dead, refuse or stall."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.fake_edge import FakeEdge, Script, fake_edge
from support.fake_upstream import fake_upstream
from support.process import console_script
from support.prometheus import promtool
from support.system import System

KEY = "a-key-that-nobody-may-see"


@pytest.fixture
def edge() -> Iterator[FakeEdge]:
    with fake_edge() as server:
        server.key = KEY
        yield server


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(KEY + "\n", encoding="utf-8")
    return path


@pytest.fixture
def textfile(tmp_path: Path) -> Path:
    (tmp_path / "collected").mkdir()
    return tmp_path / "collected" / "cerebrum_probe.prom"


def probe(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs it; nothing that it says may hold the key."""
    done = subprocess.run(
        [console_script("cerebrum"), "probe", *words],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8"},
        timeout=60,
    )
    assert KEY not in done.stdout + done.stderr
    return done


def values(textfile: Path) -> dict[str, float]:
    """What the collector reads, which is all that is left in its folder."""
    assert [path.name for path in textfile.parent.iterdir()] == [textfile.name]
    text = textfile.read_text(encoding="utf-8")
    assert KEY not in text
    found = {row.name: row.value for family in text_string_to_metric_families(text) for row in family.samples}
    return {name.removeprefix("cerebrum_probe_"): value for name, value in found.items()}


def test_a_live_edge_answers_and_promtool_reads_the_file(system: System, textfile: Path) -> None:
    for number in (1, 2):
        done = probe("--edge", system.edge.url, "--textfile", textfile)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("answered in ")
        found = values(textfile)
        assert (found["success"], found["attempts_total"], found["failures_total"]) == (1, number, 0)
        assert 0 < found["time_to_first_token_seconds"] <= found["duration_seconds"]
    checked = promtool("check", "metrics", input=textfile.read_text(encoding="utf-8"))
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    assert stat.S_IMODE(textfile.stat().st_mode) == 0o644, "the collector is another user"


def test_the_key_is_presented_and_one_token_is_asked_for(edge: FakeEdge, key_file: Path, textfile: Path) -> None:
    done = probe("--edge", edge.url, "--key-file", key_file, "--textfile", textfile)
    assert done.returncode == 0
    assert values(textfile)["success"] == 1
    assert [request["max_tokens"] for request in edge.requests] == [1]


def test_a_dead_edge_is_a_failure_of_the_probe_and_none_of_its_unit(textfile: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    done = probe("--edge", f"http://127.0.0.1:{port}", "--textfile", textfile)
    assert done.returncode == 0
    assert "no edge answers at" in done.stderr
    found = values(textfile)
    assert (found["success"], found["attempts_total"], found["failures_total"]) == (0, 1, 1)
    assert "time_to_first_token_seconds" not in found


@pytest.mark.parametrize("then", ["death", "failure"])
def test_an_answer_that_is_not_whole_is_a_failure_though_a_token_came(
    edge: FakeEdge, key_file: Path, textfile: Path, then: Literal["death", "failure"]
) -> None:
    edge.script = Script(then=then)
    assert probe("--edge", edge.url, "--key-file", key_file, "--textfile", textfile).returncode == 0
    found = values(textfile)
    assert (found["success"], found["failures_total"]) == (0, 1)
    assert "time_to_first_token_seconds" in found


def test_an_edge_that_only_shows_life_is_given_up(edge: FakeEdge, key_file: Path, textfile: Path) -> None:
    """Each of its comments comes in time, so that no single read ever takes long."""
    edge.script = Script(tokens=(), then="silence")
    done = probe("--edge", edge.url, "--key-file", key_file, "--textfile", textfile, "--timeout", "0.5")
    assert done.returncode == 0
    assert "not complete after 0.5 s" in done.stderr
    assert values(textfile)["success"] == 0
    assert edge.left.wait(10), "the edge was left, and with it the backend's slot"


def test_a_server_that_says_nothing_is_given_up(textfile: Path) -> None:
    def hears(connection: socket.socket) -> None:
        while connection.recv(1 << 16):
            pass

    with fake_upstream(hears) as server:
        assert probe("--edge", server.url, "--textfile", textfile, "--timeout", "0.5").returncode == 0
    assert values(textfile)["success"] == 0


@pytest.mark.parametrize("text", ["another-key", "two words", "cannot-be\x00sent-so", ""])
def test_a_key_that_does_not_do_is_found_out_and_not_shown(
    edge: FakeEdge, tmp_path: Path, textfile: Path, text: str
) -> None:
    (tmp_path / "bad").write_text(text, encoding="utf-8")
    done = probe("--edge", edge.url, "--key-file", tmp_path / "bad", "--textfile", textfile)
    assert done.returncode == 0
    assert done.stderr
    assert not [part for part in text.split("\x00") if part and part in done.stderr]
    assert values(textfile)["success"] == 0


def test_counts_go_on_through_good_and_bad_and_a_damaged_file_is_begun_anew(
    edge: FakeEdge, key_file: Path, textfile: Path
) -> None:
    words = ("--edge", edge.url, "--key-file", key_file, "--textfile", textfile)
    for script in (Script(), Script(then="failure"), Script()):
        edge.script = script
        probe(*words)
    found = values(textfile)
    assert (found["attempts_total"], found["failures_total"]) == (3, 1)
    textfile.write_bytes(b"\xff\xfe half a file")
    done = probe(*words)
    assert done.returncode == 0
    assert f"{textfile} is not what a probe has written; its counts begin anew" in done.stderr
    assert values(textfile)["attempts_total"] == 1


@pytest.mark.parametrize("place", ["missing/cerebrum_probe.prom", "folder"])
def test_a_file_that_cannot_be_written_fails_the_unit(
    edge: FakeEdge, key_file: Path, tmp_path: Path, place: str
) -> None:
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    done = probe("--edge", edge.url, "--key-file", key_file, "--textfile", tmp_path / place)
    assert done.returncode == 1
    assert f"--textfile {tmp_path / place} cannot be written" in done.stderr
    assert sorted(tmp_path.rglob("*")) == before, "nothing is left behind"


def test_an_address_that_is_none_is_refused_before_anything_is_done(textfile: Path) -> None:
    done = probe("--edge", "ftp://edge", "--textfile", textfile)
    assert done.returncode == 1
    assert "'ftp://edge' is not an edge's address" in done.stderr
    assert not textfile.exists()


def test_without_a_file_the_exit_tells(edge: FakeEdge, key_file: Path) -> None:
    assert probe("--edge", edge.url, "--key-file", key_file).returncode == 0
    assert probe("--edge", edge.url).returncode == 1
