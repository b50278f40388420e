"""Tree-sitter grammars, loaded when a language is first asked for: each takes memory that small machines want back."""

from __future__ import annotations

import functools
import importlib
import string
import zlib

from tree_sitter import Language, Node, Parser

# Our names of the languages: the module, and the function in it that gives the grammar.
_GRAMMARS = {
    "python": ("tree_sitter_python", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "go": ("tree_sitter_go", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "c": ("tree_sitter_c", "language"),
    "cpp": ("tree_sitter_cpp", "language"),
    "java": ("tree_sitter_java", "language"),
    "shell": ("tree_sitter_bash", "language"),
}
LANGUAGES = frozenset(_GRAMMARS)
_QUIET = (string.ascii_letters + string.digits + string.whitespace + "_").encode() + bytes(range(128, 256))
_MOST_PUNCTUATION = 0.48  # of a text's bytes; code has a tenth to a third
_BINARY = bytes(range(9)) + bytes(range(14, 27))
_LONGEST_LINE = 5_000
_STEPS = 200  # reports of progress that any parse may take
_BYTES_A_STEP = 30  # and one more for so many bytes; code takes one for 60 or more
_READ = 4096
_REPETITIVE = 0.12  # compressed size of a text; code comes to 0.16 or more


@functools.cache
def grammar(language: str) -> Language:
    """Raises KeyError for a language that is not in `LANGUAGES`."""
    module, function = _GRAMMARS[language]
    return Language(getattr(importlib.import_module(module), function)())


class NotCode(ValueError):
    """The text is nothing that a parser should be given: it is no code, or takes far more steps than code does."""


def parse(text: str, language: str) -> Node:
    """The root of the text's syntax tree. Parsers hold state, so each call has its own (4 µs).

    Raises NotCode. Tree-sitter takes minutes or all memory for some texts that are no code (`x=>` a thousand times, as
    C); what is mostly punctuation or has endless lines is refused, and a parse of what repeats itself as no code does
    is ended by its number of steps, so that the same text always meets the same end. Not every parse is counted: the
    binding loses some memory with each piece that it reads through a callback.
    """
    data = text.encode("utf-8", "replace")
    loud = data.translate(None, _QUIET)
    longest = max(map(len, text.split("\n")))
    binary = len(loud.translate(None, _BINARY)) < len(loud)
    if binary or len(loud) > _MOST_PUNCTUATION * len(data) or longest > _LONGEST_LINE:
        raise NotCode(f"text of {len(text)} characters is not like code")
    if len(zlib.compress(data, 1)) > _REPETITIVE * len(data):
        return Parser(grammar(language)).parse(data).root_node
    left = _STEPS + len(data) // _BYTES_A_STEP

    def stop(*_: object) -> bool:
        nonlocal left
        left -= 1
        return left < 0

    def read(offset: int, _: object) -> bytes:
        return data[offset : offset + _READ]

    try:
        tree = Parser(grammar(language)).parse(read, encoding="utf8", progress_callback=stop)
    except ValueError as error:
        raise NotCode(f"text of {len(text)} characters takes too many steps to parse") from error
    return tree.root_node
