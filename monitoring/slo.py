"""What Cerebrum promises, in one table, and the rules that tell when a promise is being broken.

An alert fires when the error budget of a week is burnt too fast, over a long window (it matters) and a short one (it
goes on). With ten requests an hour one failure is a large share of everything, so each long window also wants a number
of failures: one request never wakes anybody.
"""

from __future__ import annotations

from dataclasses import dataclass

from monitoring.durations import seconds
from monitoring.model import Alert, Group, Recording, Severity

PERIOD = "7d"
_ERRORS, _BAD, _EVENTS = "cerebrum:slo_errors:ratio", "cerebrum:slo_bad:increase", "cerebrum:slo_events:increase"
# Whom a completion's end speaks against: these are the caller's own, or nobody's.
_NOT_OURS = "caller_error|disconnected|client_too_slow"


@dataclass(frozen=True, slots=True)
class Objective:
    """A promise.

    Attributes:
        bad, events: expressions for the number of bad events, and of all, in `[WINDOW]`.
        fast: the severity of spending the budget fast. Slowly, it is always a ticket.
    """

    slo: str
    alert: str
    objective: float
    bad: str
    events: str
    fast: Severity
    summary: str
    means: str
    first: str

    @property
    def budget(self) -> float:
        return 1 - self.objective


@dataclass(frozen=True, slots=True)
class Burn:
    """Two windows, the share of the week's budget that the long one may burn, and the failures it takes."""

    long: str
    short: str
    share: float
    least_bad: int

    @property
    def factor(self) -> float:
        return self.share * seconds(PERIOD) / seconds(self.long)


FAST = (Burn("1h", "5m", 0.08, 3), Burn("6h", "30m", 0.2, 5))
SLOW = (Burn("1d", "2h", 0.3, 5), Burn("3d", "6h", 0.45, 8))
# Long windows are read over many samples and change slowly: they are computed less often. Not less than every five
# minutes, or their series would have holes.
_QUICK = ("5m", "30m", "1h", "2h", "6h")
_LAZY = ("1d", "3d", PERIOD)
_LAZY_INTERVAL = "2m"


def _above(family: str, bound: str) -> str:
    """Observations above a bucket's bound."""
    return (
        f"clamp_min(\n  sum(increase({family}_count[WINDOW]))\n"
        f'  - sum(increase({family}_bucket{{le="{bound}"}}[WINDOW])),\n  0\n)'
    )


_COMPLETIONS = "cerebrum_edge_completions_total"
_FIRST = "cerebrum_edge_time_to_first_token_seconds"
_ADDED = "cerebrum_edge_overhead_seconds"
OBJECTIVES = (
    Objective(
        "availability",
        "Availability",
        0.98,
        f'sum(increase({_COMPLETIONS}{{outcome!~"ok|{_NOT_OURS}"}}[WINDOW]))',
        f'sum(increase({_COMPLETIONS}{{outcome!~"{_NOT_OURS}"}}[WINDOW]))',
        "page",
        "Completions fail",
        "of the completions that were asked for were not answered; callers' own mistakes and clients that left "
        "are not counted.",
        "`cerebrum doctor`, which names the link that is broken.",
    ),
    Objective(
        "first_token",
        "FirstToken",
        0.95,
        _above(_FIRST, "10.0"),
        f"sum(increase({_FIRST}_count[WINDOW]))",
        "ticket",
        "First tokens come late",
        "of the answers began more than 10 s after they were asked for.",
        "`cerebrum top`: are the slots busy, is the queue long, has something else taken the cores?",
    ),
    Objective(
        "overhead",
        "Overhead",
        0.99,
        _above(_ADDED, "0.25"),
        f"sum(increase({_ADDED}_count[WINDOW]))",
        "ticket",
        "The edge holds answers up",
        "of the answers were held up by the edge itself for more than 250 ms, its queue not counted.",
        "look at the processor and the temperature of the edge's host.",
    ),
    Objective(
        "probe",
        "Probe",
        0.97,
        "sum(increase(cerebrum_probe_failures_total[WINDOW]))",
        "sum(increase(cerebrum_probe_attempts_total[WINDOW]))",
        "page",
        "The probe's completions fail",
        "of the probe's completions through an edge failed.",
        "`cerebrum doctor`, which names the link that is broken.",
    ),
)


def groups() -> tuple[Group, ...]:
    return (
        Group("cerebrum-slo", tuple(rule for one in OBJECTIVES for rule in _recordings(one, _QUICK))),
        Group(
            "cerebrum-slo-long",
            tuple(rule for one in OBJECTIVES for rule in (*_recordings(one, _LAZY), _remaining(one))),
            _LAZY_INTERVAL,
        ),
        Group("cerebrum-slo-alerts", tuple(rule for one in OBJECTIVES for rule in _alerts(one))),
    )


def _recordings(one: Objective, windows: tuple[str, ...]) -> list[Recording]:
    """For each window the bad events, all events, and their ratio: where nothing was asked there is none."""
    labels = {"slo": one.slo}
    rules = []
    for window in windows:
        ratio = f'{_BAD}{window}{{slo="{one.slo}"}} / ({_EVENTS}{window}{{slo="{one.slo}"}} > 0)'
        rules += [
            Recording(_BAD + window, one.bad.replace("WINDOW", window), labels),
            Recording(_EVENTS + window, one.events.replace("WINDOW", window), labels),
            Recording(_ERRORS + window, ratio, labels),
        ]
    return rules


def _remaining(one: Objective) -> Recording:
    ratio = f'{_ERRORS}{PERIOD}{{slo="{one.slo}"}}'
    return Recording("cerebrum:slo_budget:remaining_ratio", f"1 - {ratio} / {one.budget:.4g}", {"slo": one.slo})


def _alerts(one: Objective) -> list[Alert]:
    said = f"{{{{ $value | humanizePercentage }}}} {one.means}"
    return [
        Alert(
            f"{one.alert}BurnsFast",
            one.fast,
            _burning(one, FAST),
            f"{one.summary}: the week's budget is spent within hours",
            f"{said} First: {one.first}",
            keep="10m",
            labels={"slo": one.slo, "burn": "fast"},
        ),
        Alert(
            f"{one.alert}BurnsSlowly",
            "ticket",
            _burning(one, SLOW),
            f"{one.summary} now and then: the week's budget will not last",
            f"{said} First: {one.first}",
            keep="30m",
            labels={"slo": one.slo, "burn": "slow"},
        ),
    ]


def _burning(one: Objective, burns: tuple[Burn, ...]) -> str:
    return "\nor\n".join(_both_windows(one, burn) for burn in burns)


def _both_windows(one: Objective, burn: Burn) -> str:
    which = f'{{slo="{one.slo}"}}'
    limit = f"{burn.factor * one.budget:.4g}"
    # Increases are extrapolated: three events may be counted as 2.99.
    return (
        f"(\n  {_ERRORS}{burn.long}{which} > {limit}\n"
        f"  and {_ERRORS}{burn.short}{which} > {limit}\n"
        f"  and {_BAD}{burn.long}{which} > {burn.least_bad - 0.5:g}\n)"
    )
