"""Cases for the burning of error budgets: the same for each promise, in its own series.

A quiet system has ten requests an hour, or one. What fails is a large share then, and one or two must wake nobody.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from monitoring.slo import FAST, OBJECTIVES, SLOW, Objective
from support.alert_cases.case import Case

_EDGE = 'job="edge",instance="pi"'
_PROBE = 'job="node",instance="pi"'
_HALF_HOUR = 1800
_OURS = ("overloaded", "upstream_unavailable", "upstream_error", "upstream_timeout", "internal", "shutting_down")
_NOT_OURS = ("disconnected", "caller_error", "client_too_slow")
Counts = Sequence[int]
Series = Callable[[Counts, Counts], dict[str, str]]  # of the counts of good events, and of bad ones


def _completions(outcome: str) -> Series:
    family = f'cerebrum_edge_completions_total{{{_EDGE},dialect="chat",outcome='
    return lambda good, bad: {f'{family}"ok"}}': _text(good), f'{family}"{outcome}"}}': _text(bad)}


def _histogram(family: str, bound: str) -> Series:
    """Good observations are those up to the bound."""
    return lambda good, bad: {
        f'{family}_bucket{{{_EDGE},le="{bound}"}}': _text(good),
        f'{family}_bucket{{{_EDGE},le="+Inf"}}': _sum(good, bad),
        f"{family}_count{{{_EDGE}}}": _sum(good, bad),
    }


def _probes(good: Counts, bad: Counts) -> dict[str, str]:
    return {
        f"cerebrum_probe_attempts_total{{{_PROBE}}}": _sum(good, bad),
        f"cerebrum_probe_failures_total{{{_PROBE}}}": _text(bad),
    }


_SERIES: dict[str, Series] = {
    "availability": _completions("upstream_error"),
    "first_token": _histogram("cerebrum_edge_time_to_first_token_seconds", "10.0"),
    "overhead": _histogram("cerebrum_edge_overhead_seconds", "0.25"),
    "probe": _probes,
}


def _text(counts: Counts) -> str:
    return " ".join(map(str, counts))


def _sum(good: Counts, bad: Counts) -> str:
    return _text([a + b for a, b in zip(good, bad, strict=True)])


def _count(*phases: tuple[int, float]) -> list[int]:
    """A counter: in each phase so many samples, between which it grows by so much."""
    counts, exact = [0], 0.0
    for samples, growth in phases:
        for _ in range(samples):
            exact += growth
            counts.append(math.floor(exact + 1e-9))
    return counts


class _Cases:
    """A promise's cases. Bad events come in the last phase, all at once or as a share of the traffic."""

    def __init__(self, one: Objective) -> None:
        self._one = one
        self._series = _SERIES[one.slo]

    def all(self) -> list[Case]:
        return [*self._fast(), *self._slow()]

    def _fast(self) -> list[Case]:
        hour, hours = (burn.factor * self._one.budget for burn in FAST)
        enough, few = math.ceil(60 * hour * 1.02), math.floor(60 * hour * 0.95)
        return [
            self._burst("a burst", enough),
            self._burst("a burst that ended", enough, after=10),
            self._burst("a burst long over", enough, after=20, kind="quiet"),
            self._burst("a burst too short", few, kind="quiet"),
            self._share("some of six hours", "Fast", hours * 1.08, samples=72, window=72, step=300),
            self._share("few of six hours", "Fast", hours * 0.93, samples=72, window=72, step=300, kind="quiet"),
            self._hour("three of three", bad=3, kind="fires"),
            self._hour("two of two", bad=2, kind="idle"),
            self._hour("nothing asked", bad=0, kind="idle"),
            self._hour("one of ten", bad=1, good=9, kind="idle"),
        ]

    def _slow(self) -> list[Case]:
        day, days = (burn.factor * self._one.budget for burn in SLOW)
        days_samples = {"a day": (48, day), "three days": (144, days)}
        return [
            *(
                self._share(
                    f"{much} of {long}", "Slowly", limit * by, samples=many, window=many, step=_HALF_HOUR, kind=kind
                )
                for long, (many, limit) in days_samples.items()
                for much, by, kind in (("some", 1.08, "fires"), ("few", 0.93, "quiet"))
            ),
            self._day("five of a day's twenty-four", bad=5, kind="fires"),
            self._day("four of a day's twenty-four", bad=4, kind="idle"),
        ]

    def _burst(self, what: str, minutes: int, *, after: int = 0, kind: str = "fires") -> Case:
        """Three good hours with a request a minute, some minutes in which all fail, and good ones again."""
        good = _count((180, 1), (minutes, 0), (after, 1))
        bad = _count((180, 0), (minutes, 1), (after, 0))
        return self._case("Fast", kind, what, good, bad, window=60, step=60)

    def _share(self, what: str, pace: str, share: float, *, samples: int, window: int, step: int,
               kind: str = "fires") -> Case:  # fmt: skip
        """Good for as long as the window, and then a share fails of thousands of requests, evenly."""
        many = 1000
        good = _count((samples, many), (samples, many * (1 - share)))
        bad = _count((samples, 0), (samples, many * share))
        return self._case(pace, kind, what, good, bad, window=window, step=step)

    def _hour(self, what: str, *, bad: int, good: int = 0, kind: str) -> Case:
        """An hour with few requests, after hours with none; bad ones come last, a minute apart."""
        calm = 69 - good * 5 - bad
        goods = _count((calm, 0), (good * 5, 0.2), (bad, 0), (1, 0))
        bads = _count((calm, 0), (good * 5, 0), (bad, 1), (1, 0))
        return self._case("Fast", kind, what, goods, bads, window=60, step=60)

    def _day(self, what: str, *, bad: int, kind: str) -> Case:
        """A day with a request an hour, of which the last ones fail."""
        hourly, hours = 1 / 2, 24 - bad
        goods = _count((48, 0), (hours * 2, hourly), (bad * 2, 0))
        bads = _count((48, 0), (hours * 2, 0), (bad * 2, hourly))
        return self._case("Slowly", kind, what, goods, bads, window=48, step=_HALF_HOUR)

    def _case(self, pace: str, kind: str, what: str, good: Counts, bad: Counts, *, window: int, step: int) -> Case:
        failed, answered = (counts[-1] - counts[max(0, len(counts) - 1 - window)] for counts in (bad, good))
        return Case(
            f"{self._one.alert}Burns{pace}",
            kind,  # type: ignore[arg-type]  # the callers' own words
            what,
            self._series([*good, good[-1]], [*bad, bad[-1]]),
            f"{(len(good) - 1) * step - (step if kind == 'fires' else 0)}s",
            value=f"{100 * failed / (failed + answered):.4g}%" if kind == "fires" else "",
            step=step,
            sudden=False,
        )


def _by_outcome() -> list[Case]:
    """Which ends of a completion speak against us: thirty of thirty in the last minutes."""
    good, bad = _count((4, 0), (31, 0)), _count((4, 0), (31, 1))
    return [
        Case(
            "AvailabilityBurnsFast",
            "fires" if outcome in _OURS else "quiet",
            f"all are {outcome}",
            _completions(outcome)(good, bad),
            "34m" if outcome in _OURS else "35m",
            value="100%",
            step=60,
            sudden=False,
        )
        for outcome in (*_OURS, *_NOT_OURS)
    ]


CASES: tuple[Case, ...] = (*(case for one in OBJECTIVES for case in _Cases(one).all()), *_by_outcome())
