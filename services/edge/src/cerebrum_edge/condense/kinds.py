"""What a line is, by its first words: an import, a comment, the head of a definition and of which. Without a grammar on
purpose: the same rules serve languages that have none at hand.
"""

from __future__ import annotations

import re

_IMPORT = re.compile(
    r"\s*(?:import\b|from\s+\S+\s+import\b|#\s*include\b|use\s+[\w:{]|package\b|require\b|using\s|"
    r"const\s.{1,80}=\s*require\(|export\s.{1,80}\sfrom\s)"
)
_COMMENT = re.compile(r"\s*(?://|#(?!\s*(?:include|define|if|el|endif|undef|pragma|\[|!))|/\*|\*|--\s|\"\"\"|''')")
_MODIFIERS = (
    r"(?:(?:export|pub(?:\([a-z]+\))?|async|static|default|abstract|public|private|protected|final|unsafe|const|inline)"
    r"\s+)*"
)
_DEFINES = _MODIFIERS + r"(?:def|class|func|fn|struct|enum|trait|impl|interface|type|function|mod|namespace)\b"
_DEFINITION = re.compile(r"\s*" + _DEFINES)
_CONTROL = (
    r"if|for|while|switch|catch|return|else|do|try|elif|case|when|unless|with|until|select|foreach|synchronized|using"
)
_NAME = re.compile(
    r"\b(?:def|class|func|fn|trait|impl|interface|type|function|mod|namespace)\s+(?:\([^)]{0,80}\)\s*)?(\w+)"
    r"|\b(?:struct|enum)\s+(\w+)\s*(?:[{:<(;]|$)"
)
_USED = re.compile(r"(\w+)\s*(?:[(=]|:(?!:))")
# A function's head in languages where no word says so: a name, its arguments, and the brace that opens its body.
_HEADS = (
    r"(?!(?:"
    + _CONTROL
    + r")\b)[\w \t*&:<>,~\[\].?@$]{1,200}\([^;{}=\n]{0,200}\{[ \t\r]*$|[\w-]{1,80}[ \t]*\(\)[ \t]*\{?[ \t\r]*$"
)
_HEAD = re.compile(r"\s*(?:" + _HEADS + ")")
_KEYWORDS = frozenset(_CONTROL.split("|"))
_LOOKED_AT = 300  # characters of a line that are looked at


def is_import(line: str) -> bool:
    return _IMPORT.match(line[:_LOOKED_AT]) is not None


def is_comment(line: str) -> bool:
    return _COMMENT.match(line) is not None


def is_definition(line: str) -> bool:
    return _DEFINITION.match(line) is not None


def name(line: str) -> str:
    """The name that a header line defines, or what it calls or assigns; "" for none."""
    head = line[:_LOOKED_AT]
    found = _NAME.search(head) or _USED.search(head)
    told = next(filter(None, found.groups())) if found else ""
    return "" if told in _KEYWORDS else told


def gist(text: str, name: str) -> str:
    """A construct's text without what makes no difference: white space, and the name that it defines."""
    return " ".join((text.replace(name, "\0") if len(name) > 1 else text).split())


def defined(line: str) -> str:
    """The name that a line begins to define; "" for a line that begins no definition."""
    return name(line) if is_definition(line) or _HEAD.match(line[:_LOOKED_AT]) else ""
