"""The conversation, in a real terminal, with a server that does what the test needs."""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.fake_edge import FakeEdge, Script, fake_edge
from support.terminal import ESCAPES, Terminal, cerebrum_terminal

CTRL_C, CTRL_D, ALT_ENTER, UP = "\x03", "\x04", "\x1b\r", "\x1b[A"


@pytest.fixture
def edge() -> Iterator[FakeEdge]:
    with fake_edge() as server:
        yield server


@pytest.fixture
def terminal(edge: FakeEdge, tmp_path: Path) -> Iterator[Terminal]:
    with cerebrum_terminal(url=edge.url, home=tmp_path) as at:
        at.prompt()
        yield at


def test_it_greets_answers_and_leaves(edge: FakeEdge, tmp_path: Path) -> None:
    edge.script = Script(tokens=["return", " x"], done={"condensed": {"before": 8344, "after": 3131}, "resumed": 1})
    with cerebrum_terminal(url=edge.url, home=tmp_path) as terminal:
        assert f"{edge.url} · :help lists commands, Ctrl-D leaves" in terminal.prompt()
        terminal.type("def f():")
        shown = terminal.prompt()
        assert "\rreturn x\r\n2 tokens" in shown
        assert "2 tokens · 8.0 tok/s · tiny · python · condensed 8.3k→3.1k · resumed 1x" in shown
        terminal.press(CTRL_D)
        assert terminal.end() == 0
    assert edge.requests == [{"prompt": "def f():", "max_tokens": 256}]
    assert "\x1b[35mreturn\x1b[0m" in terminal.written


def test_ask_in_a_terminal_is_painted_and_leaves_no_sign_of_waiting(edge: FakeEdge, tmp_path: Path) -> None:
    edge.script = Script(tokens=["return 1\n"])
    with cerebrum_terminal("ask", "def f():", url=edge.url, home=tmp_path) as terminal:
        assert terminal.end() == 0
    assert "\r\x1b[K\x1b[35mreturn\x1b[0m" in terminal.written
    edge.script = Script(tokens=[], then="silence")
    with cerebrum_terminal("ask", "x", url=edge.url, home=tmp_path) as terminal:
        terminal.wait_for("waiting for the first token")
        terminal.interrupt()
        assert terminal.end() == 130
    assert terminal.written.endswith("\r\x1b[K")


def test_tokens_are_shown_as_they_come(edge: FakeEdge, terminal: Terminal) -> None:
    edge.script = Script(tokens=["first ", "second"], then="wait")
    terminal.type("tell me something")
    terminal.wait_for("first second")
    edge.resume.set()
    assert "2 tokens" in terminal.prompt()


def test_an_interrupt_stops_the_answer_and_not_the_conversation(edge: FakeEdge, terminal: Terminal) -> None:
    edge.script = Script(tokens=["word "], then="on")
    terminal.type("go on for ever")
    terminal.wait_for("word word")
    terminal.interrupt()
    assert "stopped" in terminal.prompt()
    assert edge.left.wait(10), "the server was not left"
    edge.script = Script(tokens=["again"])
    terminal.type("next")
    assert "again" in terminal.prompt()


def test_an_interrupt_before_the_first_token_frees_the_slot_too(edge: FakeEdge, terminal: Terminal) -> None:
    edge.script = Script(tokens=[], then="silence")
    terminal.type("think")
    terminal.wait_for("waiting for the first token")
    assert edge.asked.wait(10), "the server was not asked"
    terminal.interrupt()
    assert "stopped" in terminal.prompt()
    assert edge.left.wait(10), "the server was not left"


def test_an_interrupt_at_the_prompt_drops_what_was_typed(edge: FakeEdge, terminal: Terminal) -> None:
    terminal.press("never ask this")
    terminal.wait_for("this")
    terminal.press(CTRL_C)
    terminal.prompt()
    terminal.type("ask that")
    terminal.wait_for("tok/s")
    assert edge.prompts == ["ask that"]


def test_what_is_typed_during_an_answer_is_the_next_prompt_and_not_in_its_middle(
    edge: FakeEdge, terminal: Terminal
) -> None:
    edge.script = Script(tokens=["one ", "two"], then="wait")
    terminal.type("first")
    terminal.wait_for("one two")
    terminal.child.send("second\n")
    edge.resume.set()
    assert "second" not in terminal.prompt()
    terminal.wait_for("tok/s")
    assert edge.prompts == ["first", "second"]


def test_settings_go_with_what_is_asked(edge: FakeEdge, terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "a.go").write_text("package main\n", encoding="utf-8")
    for line, said in (
        (":model tiny", "model: tiny"),
        (":lang rust", "language: rust"),
        (":tokens 7", "at most 7"),
        (":temp 0.5", "temperature: 0.5"),
        (":condense off", "condensation: off"),
        (":file a.go", "file: a.go (1 lines"),
    ):
        terminal.type(line)
        assert said in terminal.prompt()
    terminal.type("explain")
    terminal.prompt()
    assert edge.requests == [
        {
            "prompt": "explain\n\n```rust\npackage main\n```\n",
            "max_tokens": 7,
            "model": "tiny",
            "language": "rust",
            "temperature": 0.5,
            "condense": "off",
        }
    ]


def test_bad_input_gets_a_line_and_nothing_is_asked(edge: FakeEdge, terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\x00")
    for line, said in (
        (":modle", "did you mean :model?"),
        (":tokens many", ":tokens takes a whole number"),
        (":model gpt-9", "no model gpt-9; there are: tiny"),
        (":file nowhere.py", "nowhere.py: No such file or directory"),
        (":file .", "Is a directory"),
        (":file binary", "binary is not UTF-8 text (at byte 0)"),
        (":save x.py", "no answer to save yet"),
    ):
        terminal.type(line)
        assert said in terminal.prompt()
    assert edge.requests == []


def test_help_stats_models_and_history(edge: FakeEdge, terminal: Terminal) -> None:
    terminal.type(":help")
    shown = terminal.prompt()
    assert ":condense [auto|off|show]" in shown
    assert max(map(len, shown.splitlines())) <= 80
    terminal.type(":stats")
    assert "3 prompts, 25.0k→9.5k characters" in terminal.prompt()
    terminal.type(":model")
    assert "tiny" in terminal.prompt()
    terminal.type(":history")
    assert "2  :stats" in terminal.prompt()
    terminal.type(":clear history")
    terminal.prompt()
    terminal.type(":history")
    assert ":stats" not in terminal.prompt()
    terminal.press(UP + UP + UP)
    terminal.wait_for(":history")
    terminal.press(CTRL_C)
    assert ":stats" not in terminal.prompt()
    terminal.type(":exit")
    assert terminal.end() == 0


def test_what_was_left_out_of_the_last_prompt(edge: FakeEdge, terminal: Terminal) -> None:
    terminal.type(":condense")
    assert "condensation: auto" in terminal.prompt()
    terminal.type("shorten")
    terminal.prompt()
    edge.condensed = {
        "condensed": True,
        "before": 8344,
        "after": 3131,
        "elided": [[2, 9]],
        "text": "a\n# \x1b[8 lines]\n",
    }
    terminal.type(":condense show")
    shown = terminal.prompt()
    assert "\r\na\r\n# ␛[8 lines]\r\n" in shown
    assert "condensed 8.3k→3.1k characters · no language detected\r\nelided lines 2-9" in shown
    assert edge.requests[-1] == {"prompt": "shorten"}


def test_saving_writes_the_code_and_overwrites_only_when_told(
    edge: FakeEdge, terminal: Terminal, tmp_path: Path
) -> None:
    edge.script = Script(tokens=["Here:\n```python\nx = 1\n", "```\n"])
    terminal.type("please write it")
    terminal.prompt()
    terminal.type(":save x.py")
    assert "wrote 1 line to x.py" in terminal.prompt()
    assert (tmp_path / "x.py").read_text() == "x = 1\n"
    terminal.type(":save x.py")
    assert ":save! x.py overwrites it" in terminal.prompt()
    terminal.type(":save! x.py")
    assert "wrote" in terminal.prompt()


def test_several_lines_by_multi_by_alt_enter_and_by_pasting(edge: FakeEdge, terminal: Terminal) -> None:
    terminal.press("def f():")
    terminal.press(ALT_ENTER)
    terminal.type("    pass")
    terminal.prompt()
    terminal.press("\x1b[200~def g():\r\n    pass\x1b[201~")
    terminal.type("")
    terminal.prompt()
    terminal.type(":multi")
    terminal.prompt()
    terminal.type("def h():")
    terminal.type("    pass")
    terminal.type(".")
    terminal.wait_for("tok/s")
    terminal.prompt()
    terminal.press("def i():\r    pass" + ALT_ENTER)
    terminal.wait_for("tok/s")
    assert edge.prompts == [f"def {name}():\n    pass" for name in "fghi"]


def test_history_is_there_in_the_next_conversation(edge: FakeEdge, tmp_path: Path) -> None:
    with cerebrum_terminal(url=edge.url, home=tmp_path) as terminal:
        terminal.prompt()
        terminal.type("the first thing")
        terminal.prompt()
        terminal.press(CTRL_D)
        terminal.end()
    path = tmp_path / ".local" / "state" / "cerebrum" / "history"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with cerebrum_terminal(url=edge.url, home=tmp_path) as terminal:
        terminal.prompt()
        terminal.press(UP + " again\r")
        terminal.wait_for("tok/s")
    assert edge.prompts == ["the first thing", "the first thing again"]


def test_the_edges_key_is_never_in_the_history(edge: FakeEdge, tmp_path: Path) -> None:
    edge.key = "k3y-of-the-edge"
    (tmp_path / "key").write_text(edge.key + "\n", encoding="ascii")
    with cerebrum_terminal("--api-key-file", "key", url=edge.url, home=tmp_path) as terminal:
        terminal.prompt()
        terminal.type(f"what is {edge.key}?")
        assert "tok/s" in terminal.prompt()
        terminal.type("and what else")
        terminal.prompt()
    kept = (tmp_path / ".local" / "state" / "cerebrum" / "history").read_text(encoding="ascii")
    assert [json.loads(line) for line in kept.splitlines()] == ["and what else"]


def test_dumb_terminal_gets_no_escape_sequence(edge: FakeEdge, tmp_path: Path) -> None:
    edge.script = Script(tokens=["```python\n", "def f():\x1b[31m pass\n", "```\n"])
    with cerebrum_terminal(url=edge.url, home=tmp_path, TERM="dumb") as terminal:
        terminal.prompt()
        terminal.type("write f")
        assert "def f():␛[31m pass" in terminal.prompt()
        for line in (":help", ":stats", ":model", ":modle", ":multi on"):
            terminal.type(line)
            terminal.prompt()
        terminal.child.send("two\nlines\n.\n")
        terminal.wait_for("tok/s")
        terminal.prompt()
        terminal.interrupt()
        terminal.prompt()
        terminal.press(CTRL_D)
        assert terminal.end() == 0
    assert edge.prompts == ["write f", "two\nlines"]
    assert "\x1b" not in terminal.written


def test_answers_alone_go_to_a_file(edge: FakeEdge, tmp_path: Path) -> None:
    edge.script = Script(tokens=["```python\n", "def f():\x1b[31m pass\n```"])
    with cerebrum_terminal(url=edge.url, home=tmp_path, into=tmp_path / "log") as terminal:
        terminal.prompt()
        terminal.child.send("write f\n")
        assert "tok/s" in terminal.prompt()
        terminal.press(CTRL_D)
        assert terminal.end() == 0
    assert (tmp_path / "log").read_text() == "```python\ndef f():\x1b[31m pass\n```\n"


def test_without_colour_nothing_is_coloured(edge: FakeEdge, tmp_path: Path) -> None:
    edge.script = Script(tokens=["```python\ndef f(): pass\n```\n"])
    with cerebrum_terminal(url=edge.url, home=tmp_path, NO_COLOR="1") as terminal:
        terminal.prompt()
        for line in ("write f", ":model", ":modle"):
            terminal.type(line)
            terminal.prompt()
    sequences = set(ESCAPES.findall(terminal.written))
    assert not [each for each in sequences if each.endswith("m") and each not in ("\x1b[0m", "\x1b[m")], sequences


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_what_is_no_text_is_refused(edge: FakeEdge, tmp_path: Path, term: str) -> None:
    with cerebrum_terminal(url=edge.url, home=tmp_path, TERM=term) as terminal:
        terminal.prompt()
        os.write(terminal.child.child_fd, b"a\xffb\r")
        assert "the prompt is not UTF-8 text (at character 1)" in terminal.prompt()
        terminal.type("text")
        assert "tok/s" in terminal.prompt()
    assert edge.prompts == ["text"]


def test_wide_characters_are_edited_and_shown_whole(edge: FakeEdge, terminal: Terminal) -> None:
    edge.script = Script(tokens=["日", "本", "語 🙂 ", "e\u0301\n"])
    terminal.press("日本語x\x7f")
    terminal.type("?")
    assert "日本語 🙂 e\u0301\r\n" in terminal.prompt()
    assert edge.prompts == ["日本語?"]


def test_resizing_at_the_prompt_and_during_an_answer(edge: FakeEdge, terminal: Terminal) -> None:
    terminal.press("def some")
    terminal.wait_for("some")
    terminal.child.setwinsize(10, 24)
    terminal.press("thing_that_is_longer_than_the_line():")
    edge.script = Script(tokens=["left ", "right "], then="wait")
    terminal.type("")
    terminal.wait_for("left right")
    terminal.child.setwinsize(40, 120)
    edge.resume.set()
    terminal.wait_for("tok/s")
    terminal.prompt()
    assert edge.prompts == ["def something_that_is_longer_than_the_line():"]


def test_a_server_that_dies_in_the_middle_is_told_and_the_next_question_works(
    edge: FakeEdge, terminal: Terminal
) -> None:
    edge.script = Script(tokens=["half an"], then="death")
    terminal.type("tell me")
    shown = terminal.prompt()
    assert "half an\r\n" in shown
    assert "broke" in shown
    edge.script = Script(tokens=["half"], then="failure")
    terminal.type("tell me")
    assert "The backend went away. [upstream_error, request r-1]" in terminal.prompt()
    edge.script = Script(tokens=["whole"])
    terminal.type("tell me")
    assert "whole" in terminal.prompt()


def test_no_server_is_said_at_the_start_and_at_each_question(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with cerebrum_terminal(url=url, home=tmp_path) as terminal:
        assert f"no edge answers at {url}" in terminal.prompt()
        terminal.type("anyone?")
        assert f"no edge answers at {url}" in terminal.prompt()
        terminal.type(":stats")
        assert f"no edge answers at {url}" in terminal.prompt()
        terminal.press(CTRL_D)
        assert terminal.end() == 0


def test_a_wrong_key_is_said_with_what_to_do(edge: FakeEdge, tmp_path: Path) -> None:
    edge.key = "right"
    (tmp_path / "key").write_text("wrong\n", encoding="ascii")
    with cerebrum_terminal("--api-key-file", "key", url=edge.url, home=tmp_path, size=(30, 300)) as terminal:
        terminal.prompt()
        terminal.type("hello")
        shown = terminal.prompt()
    assert "This key is not known here. [unauthorized, request r-1]; give the edge's key with --api-key-file" in shown
    assert "wrong" not in terminal.written


def test_completion_of_commands_and_models(edge: FakeEdge, terminal: Terminal) -> None:
    terminal.press(":mo\t")
    terminal.wait_for(":model")
    terminal.press(" t\t\r")
    terminal.wait_for("model: tiny")
