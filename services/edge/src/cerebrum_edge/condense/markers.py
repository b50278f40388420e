"""The lines that stand for what was elided, in the comment syntax of the language."""

from __future__ import annotations

from collections.abc import Sequence

_HASH, _SLASHES, _DASHES = ("# ", ""), ("// ", ""), ("-- ", "")
_COMMENTS = {
    **dict.fromkeys(
        ("python", "shell", "ruby", "perl", "yaml", "toml", "r", "elixir", "make", "makefile", "dockerfile"), _HASH
    ),
    **dict.fromkeys(("sql", "lua", "haskell", "ada", "elm"), _DASHES),
    **dict.fromkeys(("html", "xml", "markdown", "vue", "svelte"), ("<!-- ", " -->")),
    **dict.fromkeys(("css", "scss"), ("/* ", " */")),
    **dict.fromkeys(("lisp", "clojure", "scheme", "asm"), ("; ", "")),
    **dict.fromkeys(("latex", "matlab", "erlang", "prolog"), ("% ", "")),
}
# Where a body would be left with nothing in it, a comment alone is not a statement.
STATEMENTS = {"python": "...  ", "shell": ": "}
_OPENERS = {"python": (":",), "shell": ("then", "do", "else", "{")}
_NAMES = 6


def comment(language: str | None, lines: Sequence[str]) -> tuple[str, str]:
    """What begins and ends a comment. An unknown language is told by whether its lines begin with `#` or end in
    brackets.
    """
    if language in _COMMENTS:
        return _COMMENTS[language]
    if language is None:
        seen = [line.strip() for line in lines[:200]]
        hashes = sum(
            line.startswith("#") and not line.startswith(("#include", "#define", "#if", "#endif")) for line in seen
        )
        curly = sum(line.endswith(("{", "}", ";")) or line.startswith("//") for line in seen)
        return _HASH if hashes >= curly else _SLASHES
    return _SLASHES


def typical(around: tuple[str, str], indent: int) -> int:
    """Characters that a marker without names takes, its line's end included."""
    return len(marker(99, (), None, around)) + indent + 1


def marker(count: int, names: Sequence[str], same: tuple[int, int] | None, around: tuple[str, str]) -> str:
    """One line without indentation. `names` of what is elided; `same`: lines (1-based) that say the same as these."""
    told = [", ".join(names[:_NAMES]) + (", …" if len(names) > _NAMES else "")] if names else []
    if same:
        told.append(f"same as lines {same[0]}-{same[1]}")
    tail = ": " + ", ".join(told) if told else ""
    return f"{around[0]}[{count} line{'s' * (count > 1)} elided{tail}]{around[1]}"


def placeholder(language: str | None, before: str, after: str | None, indent: int) -> str:
    """What makes the marker a statement, if the body that `before` opens has nothing else left in it."""
    openers = _OPENERS.get(language or "")
    if not openers:
        return ""
    code = before.split("#", 1)[0].rstrip() if language == "python" else before.rstrip()
    if not code.endswith(openers) or indent <= _indent(before):
        return ""
    return STATEMENTS[language or ""] if after is None or _indent(after) < indent else ""


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
