"""Fits the weights of `cerebrum_edge.condense.rank` to commits, and checks them on repositories that they did not see:
`.venv/bin/python -m benchmarks.fit_condense commits.jsonl`.

The likelihood of the touched lines is maximised, each commit counting once, with a penalty on large weights; that is
convex, so plain gradient steps find the one optimum. Prints a JSON line with the weights, and with `--check` one a
repository: recall on it by weights that were fitted to all others.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul
from pathlib import Path
from typing import Any

from benchmarks.bench_condense import BUDGETS
from cerebrum_edge.condense import condense, rank
from cerebrum_edge.condense.core import outlined
from cerebrum_edge.condense.counts import count
from cerebrum_edge.condense.signals import NAMES, signals
from cerebrum_edge.condense.terms import query
from cerebrum_edge.condense.units import Outline, split_lines

PENALTY = 0.5
STEPS = 200


@dataclass(frozen=True)
class Example:
    """A commit's units: their signals, logarithms of their lines, and the share of the touched lines in each."""

    repo: str
    rows: list[tuple[float, ...]]
    heights: list[float]
    wanted: list[float]


def example(sample: dict[str, Any]) -> Example:
    lines = split_lines(sample["text"])
    whole = outlined(lines, sample["language"])
    asked = query(sample["instruction"])
    return Example(
        sample["repo"],
        signals(whole, count(whole, asked), asked),
        [math.log(unit.last - unit.first + 1) for unit in whole.units],
        _shares(whole, [number - 1 for hunk in sample["hunks"] for number in hunk]),
    )


def _shares(whole: Outline, touched: list[int]) -> list[float]:
    """Lines of frames and blank ones count for the unit that is nearest."""
    shares = [0.0] * len(whole.units)
    for row in touched:
        nearest = min(
            range(len(shares)),
            key=lambda index: max(whole.units[index].first - row, row - whole.units[index].last, 0),
        )
        shares[nearest] += 1 / len(touched)
    return shares


def fit(examples: Sequence[Example]) -> list[float]:
    """Weights in the order of `NAMES`, by gradient steps whose size follows each weight's sign (Rprop)."""
    weights, steps, before = [0.0] * len(NAMES), [0.1] * len(NAMES), [0.0] * len(NAMES)
    for _ in range(STEPS):
        slope = [-2 * PENALTY * weight for weight in weights]
        for one in examples:
            scores = [sum(map(mul, weights, row)) + height for row, height in zip(one.rows, one.heights, strict=True)]
            highest = max(scores)
            odds = [math.exp(score - highest) for score in scores]
            total = sum(odds)
            for row, odd, wanted in zip(one.rows, odds, one.wanted, strict=True):
                missing = wanted - odd / total
                if abs(missing) > 1e-5:
                    for index, value in enumerate(row):
                        slope[index] += missing * value
        for index, now in enumerate(slope):
            if now * before[index] < 0:
                steps[index] /= 2
            else:
                steps[index] *= 1.2
            weights[index] += math.copysign(min(steps[index], 0.5), now) if now else 0.0
        before = slope
    return weights


def recall(samples: list[dict[str, Any]]) -> dict[str, float]:
    found = {}
    for budget, size in BUDGETS.items():
        shares = []
        for sample in samples:
            allowed = size if isinstance(size, int) else int(size * len(sample["text"]))
            kept = condense(sample["text"], instruction=sample["instruction"], budget=allowed).kept
            touched = [number for hunk in sample["hunks"] for number in hunk]
            shares.append(sum(any(a <= n <= b for a, b in kept) for n in touched) / len(touched))
        found[budget] = round(statistics.fmean(shares), 3)
        found[f"{budget} all kept"] = round(statistics.fmean(share == 1 for share in shares), 3)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Fits the weights of condensation's ranking to commits.")
    parser.add_argument("data", type=Path, help="commits, one JSON object a line")
    parser.add_argument(
        "--check", action="store_true", help="recall on each repository by weights fitted to the others"
    )
    arguments = parser.parse_args()
    samples = [json.loads(line) for line in arguments.data.read_text(encoding="utf-8").splitlines()]
    examples = [example(sample) for sample in samples]
    totals: dict[str, float] = {}
    for repo in sorted({sample["repo"] for sample in samples}) if arguments.check else ():
        fitted = fit([one for one in examples if one.repo != repo])
        rank.WEIGHTS.update(zip(NAMES, fitted, strict=True))
        unseen = [sample for sample in samples if sample["repo"] == repo]
        figures = recall(unseen)
        print(json.dumps({"figure": "unseen", "repo": repo, "commits": len(unseen), **figures}), flush=True)
        for name, value in figures.items():
            totals[name] = totals.get(name, 0.0) + value * len(unseen) / len(samples)
    if totals:
        print(
            json.dumps({"figure": "unseen", "repo": "all", **{k: round(v, 3) for k, v in totals.items()}}), flush=True
        )
    weights = {name: round(weight, 2) for name, weight in zip(NAMES, fit(examples), strict=True)}
    print(json.dumps({"figure": "weights", **weights}))


if __name__ == "__main__":
    main()
