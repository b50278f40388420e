"""Colours of code that still comes."""

from __future__ import annotations

from itertools import groupby, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cerebrum_cli.answer.languages import SYNTAXES, guess, is_code, language_of_file, syntax_of
from cerebrum_cli.answer.lexing import MOST_HELD, Lexer

PIECES = st.sampled_from(
    [
        "def ",
        "class",
        "return",
        "retur",
        "n",
        "'",
        '"',
        '"""',
        "''",
        "\\",
        "\n",
        " ",
        "#",
        "//",
        "/",
        "/*",
        "*/",
        "*",
        "--",
        "-",
        "x",
        "日本",
        "é",
        "1",
        "2.5e3",
        "0x",
        "(",
        "`",
        "$#",
        "a" * 65 + "if ",
        "9" * 65 + "if ",
        "None",
        "true",
        "\t",
        "\r",
    ]
)
CODE = st.lists(PIECES, max_size=30).map("".join) | st.text("'\"\\\n a#/*-`1", max_size=40)
LANGUAGES = st.sampled_from(sorted(SYNTAXES))


def lexed(language: str, pieces: list[str]) -> list[tuple[str, str]]:
    lexer = Lexer(SYNTAXES[language])
    runs = [run for piece in pieces for run in lexer.feed(piece)] + list(lexer.finish())
    return [(style, "".join(text for _, text in group)) for style, group in groupby(runs, key=lambda run: run[0])]


@settings(max_examples=300)
@given(LANGUAGES, CODE, st.lists(st.integers(0, 500), max_size=10))
def test_nothing_is_lost_and_the_cuts_do_not_matter(language: str, code: str, places: list[int]) -> None:
    bounds = sorted({0, len(code), *(place % (len(code) + 1) for place in places)})
    runs = lexed(language, [code[a:b] for a, b in pairwise(bounds)])
    assert "".join(text for _, text in runs) == code
    assert runs == lexed(language, [code]) == lexed(language, list(code))


@given(LANGUAGES, CODE)
def test_what_is_held_is_bounded(language: str, code: str) -> None:
    lexer = Lexer(SYNTAXES[language])
    for character in code:
        list(lexer.feed(character))
        assert lexer.held <= MOST_HELD


@pytest.mark.parametrize(
    ("language", "code", "expected"),
    [
        (
            "python",
            "def f(x): return None  # no",
            [("keyword", "def"), ("name", "f"), ("keyword", "return"), ("constant", "None"), ("comment", "# no")],
        ),
        ("python", '"""a\n"b" def"""\n1', [("string", '"""a\n"b" def"""'), ("number", "1")]),
        ("python", "'a\nif", [("string", "'a\n"), ("keyword", "if")]),
        ("python", "x = ''\nif", [("string", "''"), ("keyword", "if")]),
        ("python", r"'it\'s' or", [("string", r"'it\'s'"), ("keyword", "or")]),
        ("python", "defer definite", []),
        (
            "c",
            "int x; /* a\n b */ return 0x1F; // c",
            [
                ("keyword", "int"),
                ("comment", "/* a\n b */"),
                ("keyword", "return"),
                ("number", "0x1F"),
                ("comment", "// c"),
            ],
        ),
        ("rust", "fn f<'a>(s: &'a str)", [("keyword", "fn"), ("name", "f"), ("keyword", "str")]),
        ("go", "`a\n\\` + 1", [("string", "`a\n\\`"), ("number", "1")]),
        ("shell", "echo $# # count", [("comment", "# count")]),
        ("sql", "SELECT 1 -- one", [("keyword", "SELECT"), ("number", "1"), ("comment", "-- one")]),
        ("javascript", "a / b /* c */", [("comment", "/* c */")]),
    ],
)
def test_table(language: str, code: str, expected: list[tuple[str, str]]) -> None:
    for pieces in ([code], list(code)):
        assert [run for run in lexed(language, pieces) if run[0] != "plain"] == expected


def test_a_word_is_shown_as_soon_as_it_ends() -> None:
    lexer = Lexer(SYNTAXES["python"])
    assert list(lexer.feed("retu")) == []
    assert list(lexer.feed("rn ")) == [("keyword", "return"), ("plain", " ")]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("def fibonacci(n):", "python"),
        ("    import os", "python"),
        ("package main\n\nfunc main() {", "go"),
        ("pub fn main() {", "rust"),
        ("#include <stdio.h>", "c"),
        ("#include <vector>", "cpp"),
        ("function f() {", "javascript"),
        ("interface A {", "typescript"),
        ("public class A {", "java"),
        ("#!/bin/sh\n", "shell"),
        ("SELECT a FROM b", "sql"),
        ("What is a monad?", None),
        ("", None),
    ],
)
def test_guesses(text: str, language: str | None) -> None:
    assert guess(text) == language


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("def f():", True),
        ("# adds\n\ndef add(a, b):", True),
        ("from os import path", True),
        ("x = 1", True),
        ("#include <stdio.h>", True),
        ("Refactor this to async:\n\ndef f():\n    pass", False),
        ("Explain what map() does in the code below:\n\nx = map(f, y)", False),
        ("", False),
    ],
)
def test_code_to_go_on_with_is_told_from_words_about_code(text: str, code: bool) -> None:
    assert is_code(text) is code


def test_names_of_languages_and_files() -> None:
    assert syntax_of("Py") is SYNTAXES["python"]
    assert syntax_of("brainfuck") is None
    assert syntax_of("") is None
    assert language_of_file("/a/b.rs") == "rust"
    assert language_of_file("Makefile") is None
    assert language_of_file("a.xyz") is None
