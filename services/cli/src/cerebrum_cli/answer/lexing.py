"""Colours for code that still comes: a state machine over pieces of text.

A piece is coloured as soon as what follows cannot change its colour, so at most a word or the start of a comment waits
for the next token, and nothing that was shown is ever shown again: that is what keeps scrollback and slow lines whole.
The colours are the same whatever the pieces were.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from cerebrum_cli.answer.languages import Quote, Syntax

Style = Literal["plain", "keyword", "constant", "name", "string", "comment", "number"]
MOST_HELD = 64  # no keyword is as long; what is longer is coloured without knowing its end
_WORD = re.compile(r"\w+")
_SPACE = re.compile(r"\s+")
_LINE = re.compile(r"[^\n]+")


class Lexer:
    """The state of one block of code."""

    def __init__(self, syntax: Syntax) -> None:
        self._syntax = syntax
        marks = [*syntax.comments, *(opening for opening, _ in syntax.blocks), *(quote.mark for quote in syntax.quotes)]
        # The longest first: three quotes are not one and an empty string.
        self._marks = tuple(sorted(marks, key=len, reverse=True))
        self._longest = max(map(len, marks), default=1)
        self._starts = frozenset(mark[0] for mark in marks)
        self._held = ""
        self._before = "\n"  # the last character that was passed on
        self._defining = False
        self._string: Quote | None = None
        self._comment: str | None = None  # what ends the comment that is open
        self._long_word: Style | None = None

    @property
    def held(self) -> int:
        """Characters that wait for what follows them."""
        return len(self._held)

    def feed(self, text: str) -> Iterator[tuple[Style, str]]:
        return self._scan(self._held + text, final=False)

    def finish(self) -> Iterator[tuple[Style, str]]:
        return self._scan(self._held, final=True)

    def _scan(self, text: str, *, final: bool) -> Iterator[tuple[Style, str]]:
        at = 0
        self._held = ""
        while at < len(text):
            style, end = self._step(text, at, final)
            if end == at:
                self._held = text[at:]
                return
            self._before = text[end - 1]
            yield style, text[at:end]
            at = end

    def _step(self, text: str, at: int, final: bool) -> tuple[Style, int]:
        """What begins at `at` and where it ends; `at` itself where more text must decide."""
        if self._long_word is not None:
            found = _WORD.match(text, at)
            if found:
                return self._long_word, found.end()
            self._long_word = None
        if self._string is not None:
            return "string", self._in_string(self._string, text, at, final)
        if self._comment is not None:
            return "comment", self._in_comment(self._comment, text, at, final)
        character = text[at]
        if character in self._starts:
            started = self._start(text, at, final)
            if started is not None:
                return started
        elif space := _SPACE.match(text, at):
            return "plain", space.end()
        elif word := _WORD.match(text, at):
            return self._word(word[0], at, ends=word.end() < len(text) or final)
        self._defining = False
        return "plain", at + 1

    def _start(self, text: str, at: int, final: bool) -> tuple[Style, int] | None:
        """A comment or a string that begins here."""
        rest = text[at : at + self._longest]
        if not final and any(len(mark) > len(rest) and mark.startswith(rest) for mark in self._marks):
            return "plain", at
        mark = next((mark for mark in self._marks if rest.startswith(mark)), None)
        if mark is None:
            return None
        self._defining = False
        end = at + len(mark)
        if mark in self._syntax.comments:
            if self._syntax.spaced_comments and not self._before.isspace():
                return None
            self._comment = "\n"
            return "comment", end
        for opening, closing in self._syntax.blocks:
            if mark == opening:
                self._comment = closing
                return "comment", end
        self._string = next(quote for quote in self._syntax.quotes if quote.mark == mark)
        return "string", end

    def _in_string(self, quote: Quote, text: str, at: int, final: bool) -> int:
        character = text[at]
        if character == "\\" and quote.escapes:
            if at + 1 < len(text):
                return at + 2
            return at + 1 if final else at
        if character == "\n" and not quote.lines:
            self._string = None
            return at + 1
        if character == quote.mark[0]:
            rest = text[at : at + len(quote.mark)]
            if rest == quote.mark:
                self._string = None
                return at + len(quote.mark)
            if len(rest) < len(quote.mark) and quote.mark.startswith(rest) and not final:
                return at
            return at + 1
        end = at + 1
        while end < len(text) and text[end] not in ("\\", "\n", quote.mark[0]):
            end += 1
        return end

    def _in_comment(self, closing: str, text: str, at: int, final: bool) -> int:
        if closing == "\n":
            line = _LINE.match(text, at)
            if line:
                return line.end()
            self._comment = None
            return at + 1
        end = text.find(closing, at)
        if end >= 0:
            self._comment = None
            return end + len(closing)
        # The closing mark may be cut in two.
        waits = 0 if final else next((n for n in range(len(closing) - 1, 0, -1) if text.endswith(closing[:n])), 0)
        return max(at, len(text) - waits)

    def _word(self, word: str, at: int, *, ends: bool) -> tuple[Style, int]:
        if not ends and len(word) <= MOST_HELD:
            return "plain", at
        style = self._style_of(word) if len(word) <= MOST_HELD else "number" if word[0].isdigit() else "plain"
        if not ends:
            self._long_word = style
        self._defining = word in self._syntax.definers
        return style, at + len(word)

    def _style_of(self, word: str) -> Style:
        if word[0].isdigit():
            return "number"
        if word in self._syntax.keywords:
            return "keyword"
        if word in self._syntax.constants:
            return "constant"
        return "name" if self._defining else "plain"
