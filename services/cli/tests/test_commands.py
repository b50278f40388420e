"""What a line means: a table of them, and what holds for any text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cerebrum_cli.repl.commands import (
    HELP,
    Ask,
    Change,
    Choices,
    Do,
    Nothing,
    Refused,
    describe,
    is_whole,
    parse,
    split_script,
    without_end_mark,
)

PLAIN = Choices()


@pytest.mark.parametrize("text", ["", "  ", "\n", "\t\n "])
def test_an_empty_line_means_nothing(text: str) -> None:
    assert parse(text, PLAIN) == Nothing()


@pytest.mark.parametrize(
    "text",
    [
        "def fibonacci(n):",
        ":)",
        ": spaced",
        ":\nroot",
        ":root {\n  color: red\n}",
        "  indented",
        "a :help",
        "日本語 :model",
    ],
)
def test_what_is_no_command_is_asked_as_it_was_typed(text: str) -> None:
    assert parse(text, PLAIN) == Ask(text)


def test_two_colons_ask_what_begins_with_one() -> None:
    assert parse("::root { color: red }", PLAIN) == Ask(":root { color: red }")


@pytest.mark.parametrize(
    ("line", "choices"),
    [
        (":lang python", Choices(language="python")),
        ("  :lang   c++  ", Choices(language="c++")),
        (":LANG go", Choices(language="go")),
        (":language rust", Choices(language="rust")),
        (":tokens 1", Choices(max_tokens=1)),
        (":tokens 1048576", Choices(max_tokens=1_048_576)),
        (":temp 0", Choices(temperature=0.0)),
        (":temp 2", Choices(temperature=2.0)),
        (":temp 0.25", Choices(temperature=0.25)),
        (":multi", Choices(multi=True)),
        (":multi on", Choices(multi=True)),
        (":multi off", Choices()),
        (":condense off", Choices(condense="off")),
        (":condense auto", Choices()),
        (":lang", Choices()),
        (":tokens", Choices()),
        (":temp", Choices()),
        (":file", Choices()),
    ],
)
def test_settings(line: str, choices: Choices) -> None:
    meaning = parse(line, PLAIN)
    assert isinstance(meaning, Change)
    assert meaning.choices == choices
    assert meaning.said


@pytest.mark.parametrize("line", [":model auto", ":lang auto", ":temp auto", ":multi", ":condense auto", ":file off"])
def test_settings_go_back_to_their_defaults(line: str) -> None:
    chosen = Choices(model="m", language="go", temperature=1.0, multi=True, condense="off", file="f", max_tokens=9)
    meaning = parse(line, chosen)
    assert isinstance(meaning, Change)
    assert meaning.choices != chosen


@pytest.mark.parametrize(
    ("line", "name", "argument"),
    [
        (":help", "help", ""),
        (":h", "help", ""),
        (":?", "help", ""),
        (":exit", "exit", ""),
        (":q", "exit", ""),
        (":quit", "exit", ""),
        (":stats", "stats", ""),
        (":model", "models", ""),
        (":model qwen_7b", "model", "qwen_7b"),
        (":file a b.py", "file", "a b.py"),
        (":save out.py", "save", "out.py"),
        (":save! out.py", "overwrite", "out.py"),
        (":history", "history", ""),
        (":history 5", "history", "5"),
        (":clear", "clear", ""),
        (":clear history", "clear", "history"),
        (":condense", "condense", ""),
        (":condense show", "condense", "show"),
    ],
)
def test_commands_that_take_more_than_choices(line: str, name: str, argument: str) -> None:
    assert parse(line, PLAIN) == Do(name, argument)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (":modle x", ":model"),
        (":halp", ":help"),
        (":zzzz", ":help lists"),
        (":root { color: red }", "::"),
        (":tokens 0", "from 1 to 1048576; not '0'"),
        (":tokens 1048577", "not '1048577'"),
        (":tokens -3", "whole number"),
        (":tokens 1_000", "whole number"),
        (":tokens ten", "'ten'"),
        (":tokens " + "9" * 5000, "whole number"),
        (":temp 2.1", "from 0 to 2"),
        (":temp -1", "from 0 to 2"),
        (":temp nan", "from 0 to 2"),
        (":temp inf", "from 0 to 2"),
        (":temp warm", "'warm'"),
        (":lang a b", "a language"),
        (":lang " + "x" * 33, "a language"),
        (":model a b", "one id"),
        (":multi maybe", "on or off"),
        (":condense never", "auto or off"),
        (":save", "a path"),
        (":save!", "a path"),
        (":history all", "how many"),
        (":clear all", "nothing, or history"),
        (":help me", "nothing behind it"),
        (":exit now", "nothing behind it"),
    ],
)
def test_refusals_say_what_is_allowed(line: str, words: str) -> None:
    meaning = parse(line, PLAIN)
    assert isinstance(meaning, Refused)
    assert words in meaning.reason
    assert len(meaning.reason) < 200


@given(st.text())
def test_any_text_has_a_meaning_and_prompts_stay_as_they_are(text: str) -> None:
    meaning = parse(text, PLAIN)
    if isinstance(meaning, Ask) and not text.lstrip().startswith("::"):
        assert meaning.text == text


@given(st.sampled_from(sorted(HELP)), st.text(st.characters(exclude_characters="\n"), max_size=20))
def test_no_argument_breaks_a_command(name: str, argument: str) -> None:
    parse(f":{name} {argument}", PLAIN)


def test_every_command_is_in_the_help_and_the_originals_are_there() -> None:
    assert {"help", "model", "lang", "tokens", "temp", "multi", "history", "clear", "exit"} < set(HELP)
    for name in HELP:
        assert not isinstance(parse(f":{name}", PLAIN), Ask)


def test_description_names_what_differs() -> None:
    assert describe(PLAIN) == ""
    chosen = Choices(model="m", language="go", max_tokens=9, temperature=0.5, condense="off", multi=True, file="a.go")
    for words in ("model m", "language go", "9 tokens", "temperature 0.5", "condensation off", "file a.go"):
        assert words in describe(chosen)


@pytest.mark.parametrize(
    ("text", "multi", "whole"),
    [
        ("def f():", False, True),
        ("a\nb", False, True),
        ("def f():", True, False),
        ("def f():\n    pass", True, False),
        ("def f():\n    pass\n.", True, True),
        ("def f():\n    pass\n .", True, True),
        (":multi", True, True),
        ("", True, False),
        ("a\n:multi", True, False),
    ],
)
def test_when_enter_sends(text: str, multi: bool, whole: bool) -> None:
    assert is_whole(text, multi=multi) is whole


def test_the_end_mark_is_no_part_of_the_prompt() -> None:
    assert without_end_mark("a\nb\n.", multi=True) == "a\nb"
    assert without_end_mark("a\nb\n.", multi=False) == "a\nb\n."
    assert without_end_mark("a.", multi=True) == "a."


@pytest.mark.parametrize(
    ("text", "commands", "prompt"),
    [
        ("def f():\n    pass\n", [], "def f():\n    pass\n"),
        (":lang go\n:tokens 5\npackage main\n", [":lang go", ":tokens 5"], "package main\n"),
        ("\n\n:stats\n", [":stats"], ""),
        ("a\n:stats\n", [], "a\n:stats\n"),
        ("", [], ""),
    ],
)
def test_scripts(text: str, commands: list[str], prompt: str) -> None:
    assert split_script(text) == (commands, prompt)
