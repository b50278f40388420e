"""What condensation keeps of the lines that real commits touched, and what it costs:
`make bench-condense DATA=commits.jsonl`.

DATA holds one commit a line: `repo`, `language`, `instruction` (its subject), `text` (the file before it) and `hunks`
(lists of 1-based line numbers that it changed or inserted beside). One JSON line a figure on stdout:

  recall   method, language, budget: line_recall (mean over commits of the share of their lines that is kept),
           all_kept (share of commits of which every line is), size (characters of the result by those of the input),
           over (results larger than the budget), error_bytes (share inside ERROR nodes), ms p50 and p99
  time     ms of inputs of 8 KB to 1 MB, and beside it of the bare parse where there is one: machines' speed changes
  example  8,344 characters of a repeated program and "refactor to async/await"
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tree_sitter import Parser

from benchmarks.condense_baselines import Kept, Task, bm25, head, original
from cerebrum_edge.condense import condense, condense_prompt, grammars
from cerebrum_edge.condense.core import PARSED_CHARS

Method = Callable[[Task], Kept]
BUDGETS = {"3000": 3000, "38%": 0.38, "60%": 0.60}  # characters, or a share of the text's
SIZES = {"8 KB": 8 << 10, "64 KB": 64 << 10, "256 KB": 256 << 10, "1 MB": 1 << 20}
ROUNDS = 30
FUNCTIONS = '''import time
import requests


def fetch_user(user_id):
    """One user, as the service knows it."""
    response = requests.get(f"https://users.example/users/{user_id}", timeout=10)
    response.raise_for_status()
    time.sleep(0.1)
    return response.json()


def fetch_orders(user_id):
    """All orders of a user, page by page."""
    orders = []
    for page in range(10):
        response = requests.get(f"https://users.example/users/{user_id}/orders", params={"page": page})
        data = response.json()
        if not data:
            break
        orders.extend(data)
    return orders


def process_all(user_ids):
    """Users with their orders."""
    results = []
    for user_id in user_ids:
        user = fetch_user(user_id)
        user["orders"] = fetch_orders(user_id)
        results.append(user)
    return results


'''


def ours(task: Task) -> Kept:
    """As somebody calls it who does not know the language."""
    result = condense(task.text, instruction=task.instruction, budget=task.budget)
    return Kept(result.text, frozenset(number for first, last in result.kept for number in range(first, last + 1)))


METHODS: dict[str, Method] = {"cerebrum": ours, "original": original, "bm25": bm25, "head": head}


@dataclass
class Tally:
    recall: list[float] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)
    over: int = 0
    error_bytes: int = 0
    text_bytes: int = 0

    def report(self, **labels: str) -> None:
        say(
            "recall",
            **labels,
            commits=len(self.recall),
            line_recall=round(statistics.fmean(self.recall), 3),
            all_kept=round(statistics.fmean(value == 1 for value in self.recall), 3),
            size=round(statistics.fmean(self.sizes), 3),
            over=self.over,
            error_bytes=round(self.error_bytes / max(1, self.text_bytes), 4),
            **spread(self.ms),
        )


def say(figure: str, **values: object) -> None:
    print(json.dumps({"figure": figure, **values}), flush=True)


def spread(ms: list[float]) -> dict[str, float]:
    ordered = sorted(ms)
    return {"ms_p50": round(ordered[len(ordered) // 2], 2), "ms_p99": round(ordered[int(len(ordered) * 0.99)], 2)}


def error_bytes(text: str, language: str) -> int:
    """Bytes inside the outermost ERROR nodes."""
    found, waiting = 0, [Parser(grammars.grammar(language)).parse(text.encode("utf-8", "replace")).root_node]
    while waiting:
        node = waiting.pop()
        if node.is_error:
            found += node.end_byte - node.start_byte
        elif node.has_error:
            waiting += node.children
    return found


def recall(samples: list[dict[str, Any]]) -> None:
    for budget, size in BUDGETS.items():
        for method, run in METHODS.items():
            tallies: dict[str, Tally] = {}
            for sample in samples:
                text, language = sample["text"], sample["language"]
                allowed = size if isinstance(size, int) else int(size * len(text))
                task = Task(text, sample["instruction"], language, allowed)
                begun = time.perf_counter()
                kept = run(task)
                seconds = time.perf_counter() - begun
                touched = [number for hunk in sample["hunks"] for number in hunk]
                for name in (language, "all"):
                    tally = tallies.setdefault(name, Tally())
                    tally.ms.append(seconds * 1e3)
                    tally.recall.append(sum(number in kept.lines for number in touched) / len(touched))
                    tally.sizes.append(len(kept.text) / len(text))
                    tally.over += len(kept.text) > allowed
                    tally.error_bytes += error_bytes(kept.text, language)
                    tally.text_bytes += len(kept.text.encode("utf-8", "replace"))
            for name in sorted(tallies, key=lambda name: (name == "all", name)):
                tallies[name].report(method=method, language=name, budget=budget)


def times(samples: list[dict[str, Any]]) -> None:
    """Inputs of each size: files of one language one after the other, cut at a line's end; condensed to 60 %."""
    for name, size in SIZES.items():
        for language in sorted({sample["language"] for sample in samples}):
            files = [sample["text"] for sample in samples if sample["language"] == language]
            texts = []
            for start in range(min(ROUNDS, len(files))):
                text = "\n".join(files[start:] + files[:start])
                text = (text * (size // len(text) + 1))[:size]
                texts.append(text[: text.rfind("\n") + 1])
            ms, parsed = [], []
            for text in texts[: max(3, ROUNDS if size < 1 << 20 else 5)]:
                begun = time.perf_counter()
                condense(text, instruction=samples[0]["instruction"], budget=int(0.6 * len(text)))
                ms.append((time.perf_counter() - begun) * 1e3)
                if size <= PARSED_CHARS:
                    begun = time.perf_counter()
                    Parser(grammars.grammar(language)).parse(text.encode("utf-8", "replace"))
                    parsed.append((time.perf_counter() - begun) * 1e3)
            beside = {"parse_ms_p50": spread(parsed)["ms_p50"]} if parsed else {}
            say("time", input=name, language=language, runs=len(ms), **spread(ms), **beside)
    for name, text in {
        "one line of 1 MB": "x = 1; " * 150_000,
        "brackets of 1 MB": "{" * (1 << 20),
        "blank lines of 1 MB": "\n" * (1 << 20),
        "brackets of 60 KB": "(" * 60_000,
        "deep nesting of 60 KB": "".join(" " * depth + "if x:\n" for depth in range(340)),
    }.items():
        begun = time.perf_counter()
        condense(text, instruction="fix x", language="python", budget=3000)
        say("time", input=name, runs=1, ms_p50=round((time.perf_counter() - begun) * 1e3, 2))


def example() -> None:
    asked = "INSTRUCTION: Refactor this to use async/await\n\nCODE:\n"
    prompt = (asked + FUNCTIONS * 20)[:8344]
    prompt = prompt[: prompt.rfind("\n\n\ndef ") + 1].ljust(8344, "\n")
    result = condense_prompt(prompt)
    whole = all(function.strip() in result.text for function in FUNCTIONS.split("\n\n\n"))
    say("example", before=len(prompt), after=len(result.text), whole_functions=whole, ms=round(result.seconds * 1e3, 2))


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures condensation; one JSON line a figure.")
    parser.add_argument("data", type=Path, help="commits, one JSON object a line")
    parser.add_argument("--repos", help="only these repositories, comma-separated")
    arguments = parser.parse_args()
    try:
        samples = [json.loads(line) for line in arguments.data.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        sys.exit(f"cerebrum: {arguments.data} cannot be read as JSON lines: {error}")
    if arguments.repos:
        samples = [sample for sample in samples if sample["repo"] in arguments.repos.split(",")]
    say("machine", python=platform.python_version(), system=platform.platform(), commits=len(samples))
    recall(samples)
    times(samples)
    example()
    say("memory", peak_rss_mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1))


if __name__ == "__main__":
    main()
