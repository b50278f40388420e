"""An answer as a terminal gets it: text in, text with colours out, appended only.

What a model writes is not trusted with the terminal: control characters, escape sequences among them, and the marks
that turn the direction of writing are shown as visible signs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cerebrum_cli.answer.fences import FenceReader, Segment
from cerebrum_cli.answer.languages import syntax_of
from cerebrum_cli.answer.lexing import Lexer, Style

RESET = "\x1b[0m"
# The sixteen colours that every terminal has and that follow its theme.
_SGR: dict[Style, str] = {
    "keyword": "\x1b[35m",
    "constant": "\x1b[36m",
    "name": "\x1b[1;34m",
    "string": "\x1b[32m",
    "comment": "\x1b[2;3m",
    "number": "\x1b[33m",
}
DIM = "\x1b[2m"
_TURNS_WRITING = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
_VISIBLE = {
    **{code: chr(0x2400 + code) for code in range(0x20)},
    0x7F: "\u2421",
    **{code: f"<{code:02x}>" for code in range(0x80, 0xA0)},
    **{code: f"<{code:04x}>" for code in _TURNS_WRITING},
    ord("\n"): "\n",
    ord("\t"): "\t",
    ord("\r"): "",
}


def visible(text: str) -> str:
    """`text` without anything that a terminal would obey."""
    return text.translate(_VISIBLE)


class Painter:
    """One answer.

    Args:
        language: what the text outside of fences is in, as long as no fence came; None for prose.
        colour: False gives the same text and no escape sequence.
    """

    def __init__(self, *, language: str | None, colour: bool) -> None:
        self._colour = colour
        self._fences = FenceReader()
        self._lexer = self._lexer_of(language)
        self._in_code = False

    def feed(self, text: str) -> str:
        shown = visible(text)
        return "".join(self._paint(self._fences.feed(shown))) if self._colour else shown

    def finish(self) -> str:
        """What was held back until it was known what it is."""
        return "".join([*self._paint(self._fences.finish()), *self._end_block()])

    def _paint(self, segments: Iterable[Segment]) -> Iterator[str]:
        for segment in segments:
            if segment.kind == "fence":
                yield from self._end_block()
                self._in_code = False
                yield _coloured(DIM, segment.text)
                continue
            if segment.kind == "code" and not self._in_code:
                self._in_code = True
                self._lexer = self._lexer_of(segment.language)
            if self._lexer is None:
                yield segment.text
            else:
                yield from map(_styled, self._lexer.feed(segment.text))

    def _end_block(self) -> Iterator[str]:
        if self._lexer is not None:
            yield from map(_styled, self._lexer.finish())
        self._lexer = None

    def _lexer_of(self, language: str | None) -> Lexer | None:
        syntax = syntax_of(language)
        return Lexer(syntax) if syntax is not None else None


def _styled(piece: tuple[Style, str]) -> str:
    style, text = piece
    return _coloured(_SGR[style], text) if style in _SGR else text


def _coloured(start: str, text: str) -> str:
    """No colour goes over a line's end: pagers and terminals that scroll would carry it along."""
    return "\n".join(f"{start}{line}{RESET}" if line else "" for line in text.split("\n"))
