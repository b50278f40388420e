"""The dashboards that are shipped, and what their expressions are made of."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from support.repo import ROOT

FOLDER = ROOT / "roles" / "grafana" / "files" / "dashboards"
_STRING = r'"(?:[^"\\]|\\.)*"'
_SELECTOR = re.compile(
    rf"(?P<name>[a-zA-Z_:][\w:]*)\{{(?P<matchers>(?:[^}}\"]|{_STRING})*)\}}(?:\[(?P<window>[^\]]*)\])?"
)
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_WORDS = {
    *("abs", "and", "avg", "clamp_min", "count", "histogram_quantile", "increase", "max", "min", "or", "rate", "sum"),
    *("time", "timestamp", "unless", "vector"),
}


@dataclass(frozen=True)
class Selector:
    """`name{matchers}[window]`, and the function that is called on it, if one is."""

    name: str
    matchers: str
    window: str | None
    function: str


@dataclass(frozen=True)
class Asked:
    """An expression of a panel."""

    board: str
    panel: dict[str, Any]
    target: dict[str, Any]

    @property
    def expr(self) -> str:
        return str(self.target["expr"])

    @property
    def where(self) -> str:
        return f"{self.board}: {self.panel['title']} {self.target['refId']}: {self.expr}"


def boards() -> dict[str, dict[str, Any]]:
    """By the name of the file."""
    return {path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """Those that show something."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def variables(board: dict[str, Any]) -> list[dict[str, Any]]:
    return list(board["templating"]["list"])


def asked() -> list[Asked]:
    return [
        Asked(name, panel, target)
        for name, board in boards().items()
        for panel in panels(board)
        for target in panel["targets"]
    ]


def selectors(expr: str) -> Iterator[Selector]:
    """Every selector of an expression, those without braces too."""
    for found in _SELECTOR.finditer(expr):
        function = re.search(r"(\w+)\($", expr[: found.start()])
        yield Selector(found["name"], found["matchers"], found["window"], function[1] if function else "")
    rest = _GROUPING.sub("", re.sub(_STRING, "", _SELECTOR.sub("", expr)))
    for word in re.findall(r"(?<![\w$])[a-zA-Z_:][\w:]*", rest):
        if word not in _WORDS:
            yield Selector(word, "", None, "")


def divisors(expr: str) -> Iterator[str]:
    """What is divided by, each with all that its bracket holds."""
    plain = re.sub(_STRING, lambda text: "_" * len(text[0]), expr)
    for found in re.finditer(r"/\s*((?:on|ignoring)\s*\([^)]*\)\s*)?(group_left\s*\([^)]*\)\s*)?", plain):
        start = end = plain.index("(", found.end())
        depth = 0
        for end in range(start, len(plain)):
            depth += {"(": 1, ")": -1}.get(plain[end], 0)
            if depth == 0:
                break
        yield expr[found.end() : end + 1]


def legend_labels(legend: str) -> list[str]:
    return re.findall(r"\{\{\s*(\w+)\s*\}\}", legend)
