"""What the edge's figures are worth: numbers out of measured times, the bars that they must reach, a table. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Bar:
    """What a figure of the edge must reach.

    Attributes:
        goal: what would be better still.
        at_most: the figure may not be above it; otherwise not below.
    """

    limit: float
    goal: float | None = None
    at_most: bool = True

    def met(self, value: float) -> bool:
        return value <= self.limit if self.at_most else value >= self.limit

    def fields(self, value: float) -> dict[str, Any]:
        """The bar beside a value, for a line of output."""
        sign = "<=" if self.at_most else ">="
        goal = {} if self.goal is None else {"goal": f"{sign} {self.goal:g}"}
        return {"bar": f"{sign} {self.limit:g}", "met": self.met(value), **goal}


BARS = {
    "json_added": Bar(1.0),
    "stream_ratio": Bar(2.0, 1.6),
    "together_ratio": Bar(0.28, 0.45, at_most=False),
    "ready": Bar(1.5),
    "soak_rss": Bar(75.0),
    # No slope is ever exactly nothing: 5,000 streams may cost half a megabyte.
    "soak_slope": Bar(0.1),
}


@dataclass(frozen=True)
class Times:
    """What one target needed for one kind of work in all samples that count; seconds.

    Attributes:
        tokens: of one answer.
        wall: of all jobs, one after the other.
        cpu: of the target's processes; 0 where they cannot be seen.
    """

    tokens: int
    seconds: tuple[float, ...]
    first: tuple[float, ...]
    wall: float
    cpu: float
    problems: tuple[str, ...] = ()

    @classmethod
    def of(cls, tokens: int, results: Iterable[Mapping[str, Any]]) -> Times:
        """The sum of the client's results, as it sends them."""
        given = list(results)
        return cls(
            tokens,
            tuple(value for one in given for value in one["seconds"]),
            tuple(value for one in given for value in one["first"]),
            sum(one["wall"] for one in given),
            sum(one["cpu"] for one in given),
            tuple(value for one in given for value in one["problems"]),
        )

    @property
    def median_ms(self) -> float:
        return statistics.median(self.seconds) * 1000

    @property
    def p99_ms(self) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))] * 1000

    @property
    def first_ms(self) -> float:
        return statistics.median(self.first) * 1000

    @property
    def cpu_ms(self) -> float:
        """Of the target's processes per answer, wrong ones included: they cost as well."""
        return self.cpu / (len(self.seconds) + len(self.problems)) * 1000

    @property
    def rate(self) -> float:
        """Tokens of right answers a second."""
        return len(self.seconds) * self.tokens / self.wall

    def fields(self, *, cpu: bool = True) -> dict[str, Any]:
        found = {
            "median_ms": round(self.median_ms, 3),
            "p99_ms": round(self.p99_ms, 3),
            "first_ms": round(self.first_ms, 3),
            "tokens_per_second": round(self.rate),
        }
        return {**found, "cpu_ms": round(self.cpu_ms, 3)} if cpu and self.cpu else found


def added_ms(target: Times, direct: Times) -> float:
    return round(target.median_ms - direct.median_ms, 3)


def median_ratio(target: Times, direct: Times) -> float:
    return round(target.median_ms / direct.median_ms, 3)


def rate_ratio(target: Times, direct: Times) -> float:
    return round(target.rate / direct.rate, 4)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The lines that have a value, for people."""
    heads = ("figure", "api", "system", "value", "unit", "bar", "met", "median ms", "direct", "CPU ms")
    lines: list[tuple[str, ...]] = [heads]
    for row in rows:
        met = row.get("met")
        cells = (
            row["figure"],
            row.get("api", ""),
            row.get("system", ""),
            f"{row['value']:g}",
            row.get("unit", ""),
            row.get("bar", ""),
            "" if met is None else "yes" if met else "NO",
            *(f"{row[name]:g}" if name in row else "" for name in ("median_ms", "direct_median_ms", "cpu_ms")),
        )
        lines.append(tuple(str(cell) for cell in cells))
    widths = [max(len(line[at]) for line in lines) for at in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
