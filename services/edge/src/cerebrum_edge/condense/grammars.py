"""Tree-sitter grammars, loaded when a language is first asked for: each takes memory that small machines want back."""

from __future__ import annotations

import functools
import importlib

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


@functools.cache
def grammar(language: str) -> Language:
    """Raises KeyError for a language that is not in `LANGUAGES`."""
    module, function = _GRAMMARS[language]
    return Language(getattr(importlib.import_module(module), function)())


def parse(text: str, language: str) -> Node:
    """The root of the text's syntax tree. Parsers hold state, so each call has its own (4 µs)."""
    return Parser(grammar(language)).parse(text.encode("utf-8", "replace")).root_node
