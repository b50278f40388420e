"""Words of an instruction, and which identifiers of a text they speak of.

Identifiers are taken apart at case changes and underscores; words match when their stems are equal, or, more weakly,
when one begins the other (`config`, `configuration`). What an instruction names as one identifier (`replace_bytes`),
and neighbouring words that an identifier joins (`check gitignore` in `check_gitignore`), are terms of their own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

WORD = re.compile(r"\w+")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\dA-Za-z_]+")
_COMPOUND = re.compile(r"[a-z0-9][A-Z]|[A-Za-z0-9]_[A-Za-z0-9]|[A-Za-z]\d|^_+[a-z]")
_CALLED = re.compile(r"(\w{2,})\s?\(|`[^`\n]{0,80}?(\w{2,})[^`\w\n]{0,4}`|\.(\w{2,})")
_SUFFIX = re.compile(r"(?:ations?|ments?|ings?|ers?|ors?|ed|ies|es|s|e|y)$")


def wordset(words: str) -> frozenset[str]:
    """The words of a text, for tables that are read as prose."""
    return frozenset(words.split())


# Words that say nothing of a place.
STOP = wordset(
    "a an the to of in on at by for and or with without from into onto is are be been was were it its this that "
    "these those when where while which who what how why so than then as if not no do does did don t s should must "
    "can could would will may also just only more most some any all each every both other same such very via per "
    "etc instead rather there their they them we our us i my me you your he she up out over under again now please "
    "after before about"
)
# What one does to code; code seldom says it of itself.
VERBS = wordset(
    "add fix remove update use make support change improve refactor handle move allow ensure avoid prevent "
    "implement create rename simplify clean cleanup rewrite introduce enable drop replace correct adjust tweak "
    "reduce extract bug issue code file function method class proper properly better new old"
)
_VERB_WEIGHT = 0.5
_ALIKE = 4  # characters that two words must share at least
_ALIKE_WEIGHT = 0.5
_IDENTIFIER_WEIGHT = 1.5
_PAIR_WEIGHT = 0.8
_LONGEST = 6_000  # characters of an instruction that are read: its beginning and its end
_FEW = 100  # up to so many beginnings, looking for each tells faster which identifiers can match than taking all apart
_ODD = re.compile(r"[^\w\0-\x7f]")
_TO_SPACES = bytes(byte if byte >= 128 or WORD.match(chr(byte)) else ord(" ") for byte in range(256))

Matches = tuple[tuple[int, float], ...]


def parts(word: str) -> list[str]:
    """`parseHTTPRow_2` as parse, http, row, 2."""
    return [part.lower() for part in _PART.findall(word)]


def spaced(text: str) -> str:
    """The text with a blank for every character that belongs to no word: `split` finds the same words in it, or in a
    piece of it, as `WORD`, in a third of the time.
    """
    return (text if text.isascii() else _ODD.sub(" ", text)).encode().translate(_TO_SPACES).decode()


def stem(word: str) -> str:
    """A lower-case word without its commonest endings. What is left begins the word and has four characters or more."""
    if len(word) <= 4:
        return word[:-1] if len(word) == 4 and word[-1] == "s" and word[-2] not in "su" else word
    cut = _SUFFIX.sub("", word)
    return cut if len(cut) >= 4 else word[:-1] if word[-1] == "s" else word


@dataclass
class Query:
    """An instruction's terms by number.

    Attributes:
        weights: of each term.
        words: the instruction's words in lower case.
        stems: of its words, with the number of each.
        named: identifiers in lower case that it names as such: `parse_row`, `reset()`, `Table.get`.
    """

    weights: list[float] = field(default_factory=list)
    words: frozenset[str] = frozenset()
    stems: dict[str, int] = field(default_factory=dict)
    named: frozenset[str] = frozenset()
    _alike: dict[str, list[str]] = field(default_factory=dict)
    _identifiers: dict[str, int] = field(default_factory=dict)
    _pairs: dict[tuple[str, str], int] = field(default_factory=dict)
    _parts: dict[str, Matches] = field(default_factory=dict)

    def matches(self, vocabulary: Collection[str]) -> dict[str, Matches]:
        """`match` of each identifier that has any."""
        return {word: found for word in self._likely(vocabulary) if (found := self.match(word))}

    def match(self, word: str) -> Matches:
        """The terms that an identifier holds, each with how well it fits (0 to 1)."""
        found: list[tuple[int, float]] = []
        named = self._identifiers.get(word.lower())
        if named is not None:
            found.append((named, 1.0))
        before = ""
        for part in parts(word):
            stemmed = stem(part)
            matched = self._parts.get(stemmed)
            if matched is None:
                matched = self._parts[stemmed] = self._part(stemmed)
            found += matched
            pair = self._pairs.get((before, stemmed))
            if pair is not None:
                found.append((pair, 1.0))
            before = stemmed
        return tuple(found)

    def _part(self, stemmed: str) -> Matches:
        exact = self.stems.get(stemmed)
        if exact is not None:
            return ((exact, 1.0),)
        for known in self._alike.get(stemmed[:_ALIKE], ()):
            if known.startswith(stemmed) or stemmed.startswith(known):
                return ((self.stems[known], _ALIKE_WEIGHT),)
        return ()

    def add(self, word: str, before: str) -> str:
        """Takes up one word that follows the stem `before`; returns its own last stem."""
        lowered = word.lower()
        if _COMPOUND.search(word) and lowered not in self._identifiers:
            self._identifiers[lowered] = self._term(_IDENTIFIER_WEIGHT)
        for part in parts(word):
            if part in STOP:
                before = ""
                continue
            stemmed = stem(part)
            if stemmed not in self.stems:
                self.stems[stemmed] = self._term(_VERB_WEIGHT if part in VERBS else 1.0)
                if len(stemmed) >= _ALIKE:
                    self._alike.setdefault(stemmed[:_ALIKE], []).append(stemmed)
            if before and (before, stemmed) not in self._pairs:
                self._pairs[before, stemmed] = self._term(_PAIR_WEIGHT)
            before = stemmed
        return before

    def _likely(self, vocabulary: Collection[str]) -> Iterable[str]:
        """Without most identifiers that cannot match: every match begins some part with a stem's beginning."""
        beginnings = {known[:_ALIKE] for known in (*self.stems, *self._identifiers)}
        if len(beginnings) > _FEW:
            return vocabulary
        plain = "\n".join(vocabulary)
        likely: set[str] = set()
        if not plain.isascii():  # lower case may be longer, or another letter
            likely.update(word for word in vocabulary if not word.isascii())
            plain = "\n".join(word for word in vocabulary if word.isascii())
        lowered = plain.lower()
        for beginning in beginnings:
            at = lowered.find(beginning)
            while at >= 0:
                end = lowered.find("\n", at)
                end = len(plain) if end < 0 else end
                likely.add(plain[lowered.rfind("\n", 0, at) + 1 : end])
                at = lowered.find(beginning, end)
        return likely

    def _term(self, weight: float) -> int:
        self.weights.append(weight)
        return len(self.weights) - 1


def query(instruction: str) -> Query:
    """The terms of an instruction; of a very long one, of its beginning and its end."""
    if len(instruction) > _LONGEST:
        instruction = instruction[: _LONGEST // 2] + "\n" + instruction[-_LONGEST // 2 :]
    words = WORD.findall(instruction)
    called = {next(filter(None, found)).lower() for found in _CALLED.findall(instruction)}
    built = Query(
        words=frozenset(word.lower() for word in words),
        named=frozenset(called | {word.lower() for word in words if _COMPOUND.search(word)}),
    )
    before = ""
    for word in words:
        before = built.add(word, before)
    return built
