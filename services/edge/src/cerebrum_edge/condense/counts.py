"""What every unit and every header of an outline says about a query: words, terms and what they are worth (BM25)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cerebrum_edge.condense.terms import Matches, Query, spaced
from cerebrum_edge.condense.units import Outline

_SATURATION = 1.5  # BM25's k1: how soon a repeated word stops counting
_LENGTH = 0.5  # BM25's b: how much length counts against a unit


@dataclass(slots=True)
class Said:
    """Words of a piece of text and the query's terms among them, each with its (fractional) frequency."""

    words: list[str]
    terms: dict[int, float]


@dataclass(slots=True)
class Counts:
    """Per unit, per block's frame, and per block with all that is in it; `worth` of each term; `total` of those that
    occur; `named`: the words that the query names as identifiers.
    """

    units: list[Said]
    frames: list[Said]
    blocks: list[dict[int, float]]
    worth: list[float]
    total: float
    named: frozenset[str]

    def relevance(self, pieces: Sequence[Said]) -> list[float]:
        """BM25 of each piece."""
        mean = sum(len(piece.words) for piece in self.units) / max(1, len(self.units)) or 1.0
        scores = []
        for piece in pieces:
            score = 0.0
            if piece.terms:
                norm = _SATURATION * (1 - _LENGTH + _LENGTH * len(piece.words) / mean)
                for term, frequency in piece.terms.items():
                    score += self.worth[term] * frequency * (_SATURATION + 1) / (frequency + norm)
            scores.append(score)
        return scores

    def share(self, terms: Iterable[int]) -> float:
        """How much of the query's worth the terms make up."""
        return sum(self.worth[term] for term in terms) / self.total


def count(outline: Outline, query: Query) -> Counts:
    offsets, text = outline.offsets, spaced(outline.text)
    unit_words = [text[offsets[unit.first] : offsets[unit.last + 1]].split() for unit in outline.units]
    frame_words = [
        "".join([text[offsets[row] : offsets[row + 1]] for row in block.frame]).split() for block in outline.blocks
    ]
    vocabulary = set().union(*unit_words, *frame_words)
    matching = query.matches(vocabulary)
    units = [_said(words, matching) for words in unit_words]
    frames = [_said(words, matching) for words in frame_words]
    documents = [0] * len(query.weights)
    for piece in units + frames:
        for term in piece.terms:
            documents[term] += 1
    pieces = len(units) + len(frames)
    worth = [
        weight * math.log(1 + (pieces - held + 0.5) / (held + 0.5))
        for weight, held in zip(query.weights, documents, strict=True)
    ]
    total = sum(value for value, held in zip(worth, documents, strict=True) if held) or 1.0
    named = frozenset(word for word in vocabulary if word.lower() in query.named) if query.named else frozenset()
    return Counts(units, frames, _gather(outline, units, frames), worth, total, named)


def _said(words: list[str], matching: dict[str, Matches]) -> Said:
    terms: dict[int, float] = {}
    if matching.keys().isdisjoint(words):
        return Said(words, terms)
    for matches in [matching[word] for word in words if word in matching]:
        for term, fit in matches:
            terms[term] = terms.get(term, 0.0) + fit
    return Said(words, terms)


def _gather(outline: Outline, units: list[Said], frames: list[Said]) -> list[dict[int, float]]:
    gathered = [dict(frame.terms) for frame in frames]
    for unit, said in zip(outline.units, units, strict=True):
        if unit.block >= 0:
            _add(gathered[unit.block], said.terms)
    for index in range(len(gathered) - 1, -1, -1):  # a parent comes before its children
        parent = outline.blocks[index].parent
        if parent >= 0:
            _add(gathered[parent], gathered[index])
    return gathered


def _add(to: dict[int, float], terms: dict[int, float]) -> None:
    for term, frequency in terms.items():
        to[term] = to.get(term, 0.0) + frequency
