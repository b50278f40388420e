"""What a probe tells the node exporter's textfile collector, in Prometheus' text format. Pure.

Nothing but the file remembers how many probes there were: each one goes on from what the one before has written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_P = "cerebrum_probe_"
_COUNTER = re.compile(rf"^{_P}(attempts|failures)_total ([0-9]{{1,15}})$", re.MULTILINE)


class DamagedError(ValueError):
    """The file is not one that a probe has written."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Probes so far, and how many of them failed."""

    attempts: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """What one probe found.

    Attributes:
        problem: why it failed; None where it did not.
        seconds: how long it took.
        first_token: seconds until the first token; None where none came.
    """

    problem: str | None
    seconds: float
    first_token: float | None


def parse(text: str) -> Counts:
    """The counts that a file holds.

    Raises:
        DamagedError: each of them must be there once, and no more may have failed than were made.
    """
    found = _COUNTER.findall(text)
    values = {name: int(value) for name, value in found}
    if len(found) != 2 or len(values) != 2 or values["failures"] > values["attempts"]:
        raise DamagedError("it does not hold the two counts of a probe")
    return Counts(**values)


def after(counts: Counts, result: Result) -> Counts:
    """The counts with one more probe."""
    return Counts(counts.attempts + 1, counts.failures + (result.problem is not None))


def render(counts: Counts, result: Result, now: float) -> str:
    """The file's text.

    Args:
        counts: this probe is among them.
        now: Unix time at which it ended.
    """
    rows: list[tuple[str, str, str, float | None]] = [
        ("success", "gauge", "1 where the last probe had a whole answer.", int(result.problem is None)),
        ("attempts_total", "counter", "Probes made.", counts.attempts),
        ("failures_total", "counter", "Probes that had no whole answer.", counts.failures),
        ("last_run_timestamp_seconds", "gauge", "When the last probe ended.", round(now, 3)),
        ("duration_seconds", "gauge", "How long the last probe took.", round(result.seconds, 6)),
        (
            "time_to_first_token_seconds",
            "gauge",
            "Until the last probe's first token; not there where none came.",
            None if result.first_token is None else round(result.first_token, 6),
        ),
    ]
    lines = []
    for name, kind, text, value in rows:
        lines += [f"# HELP {_P}{name} {text}", f"# TYPE {_P}{name} {kind}"]
        if value is not None:
            lines.append(f"{_P}{name} {value}")
    return "\n".join(lines) + "\n"
