"""Which language code is in, and which grammar reads it."""

from __future__ import annotations

import re
from collections import Counter

from cerebrum_edge.language import detect, normalize

_LOOKED_AT = 1_500  # characters of a text without its language
_LOOKED_AGAIN = 6_000  # where those do not tell: a licence, a long comment
_DETECTED = 3_000  # where no line tells; counting all features takes longer than to parse
# Lines that only one language begins like: one search for all of them, since counting features language by language
# takes longer than to parse a small file.
_TELLING = re.compile(
    r"^[ \t]*(?:"
    r"(?P<python>(?:(?:async )?def \w+\(.*|class \w+(?:\(.*\))?:|from [\w.]+ import .*|import [\w.]+(?: as \w+)?"
    r"|elif .*:|@\w[\w.]*)$)"
    r"|(?P<go>package \w+$|func (?:\(\w+ \*?\w+\) )?\w+\(|type \w+ (?:struct|interface) \{|if err != nil"
    r"|\w+(?:, \w+)? := )"
    r"|(?P<rust>(?:pub(?:\(\w+\))? )?(?:unsafe )?(?:(?:fn|mod|trait) \w|impl[ <])"
    r"|pub (?:const|enum|static|struct|use) |use (?:\w+::)+|let mut |#!?\[\w+|match .*\{$)"
    r"|(?P<typescript>(?:export )?(?:interface \w+|type \w+) ?[<={e]|import .* from ['\"]|import (?:type )?\{"
    r"|(?:export )?(?:async )?function \w+\(|(?:export )?const \w+(?:: \w+.*)? = "
    r"|(?:private|public|readonly|static) \w+[:(])"
    r"|(?P<c>#[ \t]*include[ \t]*[<\"].*\.h[>\"]|#[ \t]*(?:define|ifn?def)\b|typedef "
    r"|(?:static |const )*(?:int|void|char|struct \w+|size_t) ?\*?\w+\()"
    r")",
    re.MULTILINE,
)
_ENOUGH = 2  # lines, and twice those of any other language
# What languages have that resemble one of these; none of it is there without one of the signs, which are looked for
# faster.
_SIGNS = ("std::", "using namespace", "template", "nullptr", "public ", "System.out", "@Override", "#!")
_MARKED = re.compile(
    r"\b(?:std::\w+<|using namespace\b|template ?<|nullptr\b|public (?:static|class|final)\b|System\.out\b)|@Override"
    r"|^#!.*sh\b",
    re.MULTILINE,
)


def language_of(text: str, told: str | None) -> str | None:
    """Our name of the language, as told or as detected."""
    if told:
        return normalize(told)
    found = _voted(text[:_LOOKED_AT])
    if not found and len(text) > _LOOKED_AT:
        found = _voted(text[:_LOOKED_AGAIN])
    return found or detect(text[:_DETECTED])


def _voted(text: str) -> str | None:
    votes = Counter(found.lastgroup for found in _TELLING.finditer(text)).most_common(2)
    if not votes or votes[0][1] < _ENOUGH or (len(votes) > 1 and votes[0][1] < 2 * votes[1][1]):
        return None
    if any(sign in text for sign in _SIGNS) and _MARKED.search(text):
        return None
    return "javascript" if votes[0][0] == "typescript" else votes[0][0]


def grammar_of(language: str | None, text: str, *, told: bool) -> str | None:
    """The grammar's name. TypeScript's reads JavaScript too, so it is taken where the one may be the other; JSX has its
    own.
    """
    if language == "typescript" or (language == "javascript" and not told):
        return "tsx" if "/>" in text or "</" in text else "typescript"
    return language
