"""What condensation is measured beside: the original's algorithm, plain BM25 over syntax units, the head of the file.

The original, from its description: blocks of 1,000 characters with 150 of overlap, equal ones dropped by a hash, ranked
by how many of the instruction's words they hold, the best three in the order of their rank. A larger budget takes more.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from dataclasses import dataclass

from cerebrum_edge.condense import grammars, syntax
from cerebrum_edge.condense.units import outline, split_lines

BLOCK, OVERLAP, TOP = 1000, 150, 3
PASSAGE = 700


@dataclass(frozen=True)
class Task:
    text: str
    instruction: str
    language: str
    budget: int


@dataclass(frozen=True)
class Kept:
    """A text, and the lines (1-based) of the input that are whole in it."""

    text: str
    lines: frozenset[int]


def head(task: Task) -> Kept:
    """The lines that come first."""
    return _lines(task.text, [(0, len(task.text[: task.budget]))])


def original(task: Task) -> Kept:
    """Three blocks at 3,000 characters, as many as fit otherwise."""
    text, budget = task.text, task.budget
    words = set(task.instruction.lower().split())
    blocks: list[tuple[int, int]] = []
    seen = set()
    for start in range(0, max(1, len(text)), BLOCK - OVERLAP):
        passage = text[start : start + BLOCK]
        digest = hashlib.sha256(" ".join(passage.split()).encode("utf-8", "replace")).digest()
        if digest not in seen:
            seen.add(digest)
            blocks.append((start, start + len(passage)))
    ranked = sorted(blocks, key=lambda block: -len(words & set(text[block[0] : block[1]].lower().split())))
    chosen: list[tuple[int, int]] = []
    for block in ranked:
        if sum(end - start for start, end in chosen) + block[1] - block[0] <= budget or len(chosen) < TOP * (
            budget == 3000
        ):
            chosen.append(block)
    kept = _lines(text, sorted(chosen))
    return Kept("\n".join(text[start:end] for start, end in chosen), kept.lines)


def bm25(task: Task) -> Kept:
    """Syntax units by BM25 alone: identifiers and their parts, k1 1.2, b 0.75; greedy, in source order."""
    lines = split_lines(task.text)
    units = _passages(lines, task.language)
    words = [Counter(_words("\n".join(lines[first : last + 1]))) for first, last in units]
    lengths = [sum(counter.values()) for counter in words]
    mean = sum(lengths) / max(1, len(lengths)) or 1
    scores = [0.0] * len(words)
    for word in set(_words(task.instruction)):
        held = sum(word in counter for counter in words)
        worth = math.log(1 + (len(words) - held + 0.5) / (held + 0.5))
        for index, counter in enumerate(words):
            if counter[word]:
                scores[index] += (
                    worth * counter[word] * 2.2 / (counter[word] + 1.2 * (0.25 + 0.75 * lengths[index] / mean))
                )
    left, chosen = task.budget, []
    for index in sorted(range(len(words)), key=lambda index: -scores[index]):
        size = sum(len(line) + 1 for line in lines[units[index][0] : units[index][1] + 1])
        if size <= left:
            left -= size
            chosen.append(index)
    kept = [row for index in sorted(chosen) for row in range(units[index][0], units[index][1] + 1)]
    return Kept("\n".join(lines[row] for row in kept), frozenset(row + 1 for row in kept))


def _passages(lines: list[str], language: str) -> list[tuple[int, int]]:
    """Runs of lines up to 700 characters that end where syntax units end; every line is in one."""
    whole = outline(lines, syntax.parts(grammars.parse("\n".join(lines), language)))
    ends = [*sorted({unit.last for unit in whole.units} | {len(lines) - 1})]
    found: list[tuple[int, int]] = []
    begin = 0
    for end in ends:
        size = whole.chars(found[-1][0], end) if found else PASSAGE + 1
        if size <= PASSAGE:
            found[-1] = (found[-1][0], end)
        else:
            found.append((begin, end))
        begin = end + 1
    return found


def _words(text: str) -> list[str]:
    found = []
    for word in re.findall(r"\w+", text):
        parts = [part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", word)]
        found += parts if len(parts) < 2 else [word.lower(), *parts]
    return found


def _lines(text: str, spans: list[tuple[int, int]]) -> Kept:
    whole, at = set(), 0
    for number, line in enumerate(text.split("\n"), 1):
        if any(start <= at and at + len(line) <= end for start, end in spans):
            whole.add(number)
        at += len(line) + 1
    return Kept("\n".join(text[start:end] for start, end in spans), frozenset(whole))
