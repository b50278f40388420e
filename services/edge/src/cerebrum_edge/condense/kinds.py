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
_DEFINITION = re.compile(
    r"\s*" + _MODIFIERS + r"(?:def|class|func|fn|struct|enum|trait|impl|interface|type|function|mod|namespace)\b"
)
_NAME = re.compile(
    r"\b(?:def|class|func|fn|struct|enum|trait|impl|interface|type|function|mod|namespace|const|static|let|var)\s+"
    r"(?:\([^)]{0,80}\)\s*)?(\w+)|(\w+)\s*[(=:]"
)
_LOOKED_AT = 300  # characters of a line that are looked at


def is_import(line: str) -> bool:
    return _IMPORT.match(line[:_LOOKED_AT]) is not None


def is_comment(line: str) -> bool:
    return _COMMENT.match(line) is not None


def is_definition(line: str) -> bool:
    return _DEFINITION.match(line) is not None


def name(line: str) -> str:
    """The name that a header line defines, or what it calls or assigns; "" for none."""
    found = _NAME.search(line[:_LOOKED_AT])
    return (found.group(1) or found.group(2)) if found else ""
