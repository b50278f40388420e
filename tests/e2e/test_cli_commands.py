"""The commands of the client and what it does in a pipe, with a server that answers as the test needs."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.fake_edge import HEALTH, FakeEdge, Script, fake_edge
from support.process import console_script

CEREBRUM = console_script("cerebrum")
CONDENSED = {
    "condensed": True,
    "reason": None,
    "before": 8344,
    "after": 3131,
    "language": "python",
    "budget": 3167,
    "kept": [[1, 20], [50, 50]],
    "elided": [[21, 49]],
    "ms": 1.23,
    "text": "import os\n# [29 lines elided]\nx = 1",
}


@pytest.fixture
def edge() -> Iterator[FakeEdge]:
    with fake_edge() as server:
        yield server


def cerebrum(
    edge: FakeEdge, *words: str, stdin: bytes = b"", folder: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [CEREBRUM, *words],
        input=stdin,
        capture_output=True,
        check=False,
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "CEREBRUM_URL": edge.url,
            "LANG": "C.UTF-8",
            "HOME": "/nonexistent",
            **environment,
        },
        timeout=60,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def link(name: str, *, ok: bool = True, mend: str | None = None) -> dict[str, Any]:
    return {"link": name, "ok": ok, "seconds": 0.004, "message": f"{name} said", "mend": mend}


def test_what_is_piped_is_one_prompt_and_its_answer_is_all_that_comes_out(edge: FakeEdge) -> None:
    edge.script = Script(tokens=["```python\n", "return\x1b[31m 1\n", "```"])
    done = cerebrum(edge, stdin=b"def f():\n    # one\n\n", TERM="xterm-256color")
    assert (done.returncode, done.stdout) == (0, "```python\nreturn\x1b[31m 1\n```\n")
    assert done.stderr == "3 tokens in 0.50 s (8.0 tokens/s) · tiny · python · stop\n"
    assert edge.prompts == ["def f():\n    # one\n\n"]


def test_commands_on_the_first_lines_of_a_pipe_are_obeyed(edge: FakeEdge) -> None:
    done = cerebrum(edge, stdin=":lang go\n:tokens 5\nfünc main() {\n:lang rust\n".encode())
    assert done.returncode == 0
    assert edge.requests == [{"prompt": "fünc main() {\n:lang rust\n", "max_tokens": 5, "language": "go"}]
    assert (
        cerebrum(edge, stdin=b":model\n").stdout
        == "model  loaded  context  languages\ntiny   yes     512      python\n"
    )


def test_a_command_in_a_pipe_that_fails_ends_it_before_anything_is_asked(edge: FakeEdge) -> None:
    done = cerebrum(edge, stdin=b":tokens many\ndef f():\n")
    assert done.returncode == 1
    assert ":tokens takes a whole number" in done.stderr
    assert edge.requests == []


@pytest.mark.parametrize(
    ("stdin", "words"),
    [(b"", "nothing came on standard input"), (b" \n\n", "nothing"), (b"ab\xff", "not UTF-8 text (at byte 2)")],
)
def test_a_pipe_without_text_is_said_so(edge: FakeEdge, stdin: bytes, words: str) -> None:
    done = cerebrum(edge, stdin=stdin)
    assert done.returncode == 1
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_failure_in_a_pipe_is_the_exit_code(edge: FakeEdge) -> None:
    edge.script = Script(tokens=["half"], then="failure")
    done = cerebrum(edge, stdin=b"x")
    assert (done.returncode, done.stdout) == (1, "half")
    assert "The backend went away." in done.stderr


def test_a_pipe_that_nobody_reads_any_more_is_no_traceback(edge: FakeEdge) -> None:
    edge.script = Script(tokens=["word "], then="on")
    command = f"echo x | {CEREBRUM} --url {edge.url} | head -c 20; exit ${{PIPESTATUS[1]}}"
    done = subprocess.run(["/bin/bash", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (1, "word word word word ", "")
    assert edge.left.wait(10), "the server was not left"


def test_ask_takes_piped_code_beside_its_prompt(edge: FakeEdge) -> None:
    done = cerebrum(edge, "ask", "make it async", "-l", "python", "--condense", "off", stdin=b"x = 1\n")
    assert (done.returncode, done.stdout) == (0, "ok\n")
    assert edge.requests == [
        {
            "prompt": "make it async\n\n```python\nx = 1\n```\n",
            "max_tokens": 256,
            "language": "python",
            "condense": "off",
        }
    ]


def test_ask_sends_only_what_was_said(edge: FakeEdge) -> None:
    cerebrum(edge, "ask", "x")
    cerebrum(edge, "ask", "-", stdin=b"y")
    assert edge.requests == [{"prompt": "x", "max_tokens": 256}, {"prompt": "y", "max_tokens": 256}]


def test_ask_prints_one_object_with_json(edge: FakeEdge) -> None:
    edge.script = Script(tokens=["a", "b"], done={"resumed": 1})
    done = cerebrum(edge, "ask", "x", "--json")
    answer = json.loads(done.stdout)
    assert (answer["text"], answer["total_tokens"], answer["resumed"], done.stderr) == ("ab", 2, 1, "")
    edge.script = Script(tokens=["a"], then="death")
    done = cerebrum(edge, "ask", "x", "--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("cerebrum: the connection to ")


def test_ask_tells_of_condensation_and_resumption(edge: FakeEdge) -> None:
    edge.script = Script(done={"condensed": {"before": 8344, "after": 3131, "ms": 1.0}, "resumed": 2})
    assert cerebrum(edge, "ask", "x").stderr.endswith("· stop · condensed 8.3k→3.1k · resumed 2x\n")


@pytest.mark.parametrize("words", [("ask", "x", "-n", "0"), ("ask", "x", "--condense", "maybe"), ("ask",), ("frob",)])
def test_wrong_words_are_a_usage_error(edge: FakeEdge, words: tuple[str, ...]) -> None:
    assert cerebrum(edge, *words).returncode == 2


def test_a_prompt_that_is_no_text_is_said_so(edge: FakeEdge) -> None:
    argv = [CEREBRUM.encode(), b"ask", b"a\xffb", b"--url", edge.url.encode()]
    done = subprocess.run(argv, capture_output=True, check=False, timeout=60, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stderr) == (1, b"cerebrum: the prompt is not UTF-8 text (at character 1)\n")


def test_very_long_answers_come_whole(edge: FakeEdge) -> None:
    edge.script = Script(tokens=["x = '" + "y" * 1000 + "'\n"] * 2000)
    done = cerebrum(edge, "ask", "x")
    assert done.stdout == "".join(edge.script.tokens)


def test_models_and_stats(edge: FakeEdge) -> None:
    assert cerebrum(edge, "models").stdout == "model  loaded  context  languages\ntiny   yes     512      python\n"
    assert json.loads(cerebrum(edge, "models", "--json").stdout) == {"models": edge.models}
    assert json.loads(cerebrum(edge, "stats", "--json").stdout) == edge.stats
    edge.stats["backends"][0] |= {"breaker": {"state": "open", "retry_in": 4.2, "failures": 3}}
    shown = cerebrum(edge, "stats").stdout
    assert "set aside after 3 failures, tried again in 4 s" in shown
    assert not any(line != line.rstrip() for line in shown.splitlines())


def test_options_before_the_command_count_too(edge: FakeEdge) -> None:
    done = cerebrum(edge, "--url", edge.url, "models", CEREBRUM_URL="http://127.0.0.1:1")
    assert done.returncode == 0, done.stderr


def test_condense_shows_the_text_and_what_was_left_out(edge: FakeEdge, tmp_path: Path) -> None:
    edge.condensed = CONDENSED
    (tmp_path / "a.py").write_text("x = 1\n", encoding="utf-8")
    done = cerebrum(edge, "condense", "a.py", "--instruction", "make it async", "--budget", "3167", folder=tmp_path)
    assert done.stdout == CONDENSED["text"]
    assert done.stderr == (
        "condensed 8.3k→3.1k characters in 1.2 ms · python\nkept lines 1-20, 50\nelided lines 21-49\n"
    )
    assert edge.requests == [{"prompt": "x = 1\n", "instruction": "make it async", "budget": 3167}]
    assert json.loads(cerebrum(edge, "condense", "-", "--json", stdin=b"x").stdout) == CONDENSED


def test_condense_of_what_stays_as_it_is(edge: FakeEdge) -> None:
    edge.condensed = {"condensed": False, "reason": "shorter than 1500", "before": 1, "after": 1, "text": "x"}
    done = cerebrum(edge, "condense", "-", stdin=b"x")
    assert (done.returncode, done.stdout, done.stderr) == (0, "x", "sent as it is (1 characters): shorter than 1500\n")


@pytest.mark.parametrize("name", ["none.py", "."])
def test_condense_of_what_cannot_be_read(edge: FakeEdge, tmp_path: Path, name: str) -> None:
    done = cerebrum(edge, "condense", name, folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"cerebrum: {name}: ")


def test_doctor_finds_everything_well(edge: FakeEdge) -> None:
    links = [link(name) for name in ("connect", "health", "key", "model")]
    edge.doctor = {"backends": [{"name": "vps", "url": "http://10.0.0.2:9000", "links": links}]}
    done = cerebrum(edge, "doctor")
    assert done.returncode == 0, done.stdout
    assert "BROKEN" not in done.stdout
    assert json.loads(cerebrum(edge, "doctor", "--json").stdout)["ok"] is True


def test_doctor_names_the_broken_link_and_its_mend(edge: FakeEdge) -> None:
    good = {"name": "a", "url": "http://a", "links": [link(name) for name in ("connect", "health", "key", "model")]}
    bad = {"name": "b", "url": "http://b", "links": [link("connect"), link("health", ok=False, mend="Start it.")]}
    bad["name"] = "b\x1b[2J"
    edge.doctor = {"backends": [good, bad]}
    done = cerebrum(edge, "doctor")
    assert done.returncode == 1
    assert "BROKEN  backend        health said\n                         Start it.\n" in done.stdout
    assert "-       model          not asked" in done.stdout
    assert "\nb␛[2J at http://b\n" in done.stdout
    assert json.loads(cerebrum(edge, "doctor", "--json").stdout)["ok"] is False


def test_doctor_without_an_edge_and_with_a_wrong_key(edge: FakeEdge, tmp_path: Path) -> None:
    done = cerebrum(edge, "doctor", CEREBRUM_URL="http://127.0.0.1:1")
    assert done.returncode == 1
    assert "BROKEN  edge  no edge answers at http://127.0.0.1:1" in done.stdout
    assert "--url or CEREBRUM_URL" in done.stdout
    edge.key = "right"
    assert "asks for a key, and none was given" in cerebrum(edge, "doctor").stdout
    (tmp_path / "key").write_text("wrong\n", encoding="ascii")
    done = cerebrum(edge, "doctor", "--api-key-file", str(tmp_path / "key"))
    assert "BROKEN  key   the edge does not know this key" in done.stdout
    assert "wrong" not in done.stdout


def test_doctor_of_an_edge_that_cannot_examine(edge: FakeEdge) -> None:
    assert cerebrum(edge, "doctor").returncode == 1
    edge.backend = {"backend": "vps", "available": True, "round_trip_ms": 1.0, "health": HEALTH}
    done = cerebrum(edge, "doctor")
    assert done.returncode == 0
    assert "1 model" in done.stdout
