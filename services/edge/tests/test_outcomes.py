"""What a completion is counted as: every error has its outcome, and every outcome its child at 0."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from cerebrum_edge.metrics import EdgeMetrics
from cerebrum_edge.outcomes import DIALECTS, OUTCOMES, outcome_of
from cerebrum_edge.pace import Pace
from cerebrum_edge.waits import Waits
from cerebrum_kit import errors
from cerebrum_kit.errors import CerebrumError, ShuttingDown
from cerebrum_kit.middleware.boundary import Answered

CALLERS = (
    "invalid_request unauthorized forbidden not_found model_not_found method_not_allowed request_timeout "
    "prompt_too_large headers_too_large"
)
EXPECTED = {
    **dict.fromkeys(CALLERS.split(), "caller_error"),
    "client_too_slow": "client_too_slow",
    "internal": "internal",
    "overloaded": "overloaded",
    "deadline_exceeded": "upstream_timeout",
    "model_unusable": "upstream_error",
    "upstream_unavailable": "upstream_unavailable",
    "upstream_error": "upstream_error",
    "upstream_timeout": "upstream_timeout",
}
ERRORS = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, CerebrumError)]


@pytest.mark.parametrize("error", ERRORS, ids=lambda one: one.__name__)
def test_every_error_has_its_outcome_before_a_stream_and_in_it(error: type[CerebrumError]) -> None:
    expected = "shutting_down" if error is ShuttingDown else EXPECTED[error.code]
    word = error("text").counted_as
    assert outcome_of(word, error.status) == expected
    assert outcome_of(word, 200) == expected


@pytest.mark.parametrize(("word", "status"), [("ok", 200), ("disconnected", 0), ("disconnected", 200)])
def test_what_is_no_error(word: str, status: int) -> None:
    assert outcome_of(word, status) == word


@given(st.text(), st.sampled_from([0, 200, 400, 499, 500, 503]))
def test_no_word_makes_a_new_outcome(word: str, status: int) -> None:
    assert outcome_of(word, status) in OUTCOMES


def samples(registry: CollectorRegistry) -> dict[tuple[str, ...], float]:
    rows = (row for family in registry.collect() for row in family.samples)
    return {(row.name.removeprefix("cerebrum_edge_"), *row.labels.values()): row.value for row in rows}


def test_children_exist_at_0() -> None:
    registry = CollectorRegistry()
    EdgeMetrics(registry, ["vps", "gpu"])
    found = samples(registry)
    wanted: set[tuple[str, ...]] = {
        ("completions_total", dialect, outcome) for dialect in set(DIALECTS.values()) for outcome in OUTCOMES
    }
    wanted |= {("shed_total", reason) for reason in ("queue_full", "queue_timeout")}
    wanted |= {("condensations_total", outcome) for outcome in ("condensed", "unchanged")}
    for backend in ("vps", "gpu"):
        wanted |= {("backend_up", backend)}
        wanted |= {("breaker_transitions_total", backend, state) for state in ("closed", "open", "half_open")}
        wanted |= {
            ("backend_failures_total", backend, code)
            for code in ("upstream_unavailable", "upstream_error", "upstream_timeout")
        }
    for name in ("completion", "time_to_first_token", "inter_token", "overhead", "queue_wait", "condense"):
        wanted |= {(f"{name}_seconds_count",)} | {(f"{name}_seconds_bucket", "+Inf")}
    wanted |= {("client_disconnects_total",), ("tokens_total",), ("stream_resumes_total",)}
    assert {row: found.get(row) for row in wanted} == dict.fromkeys(wanted, 0.0)
    assert len([row for row in wanted if row[0] == "completions_total"]) == 40
    assert ("time_to_first_token_seconds_bucket", "10.0") in found
    assert ("overhead_seconds_bucket", "0.0005") in found
    assert ("overhead_seconds_bucket", "2.5") in found


def test_a_completion_is_counted_once_and_nothing_else_is_one() -> None:
    registry = CollectorRegistry()
    metrics = EdgeMetrics(registry, ["vps"])
    before = samples(registry)
    for request in (
        Answered("/v1/complete", 200, "ok", 1.5),
        Answered("/v1/complete/stream", 200, "disconnected", 2.0),
        Answered("/infill", 422, "invalid_request", 0.1),
        Answered("/v1/models", 200, "ok", 0.1),
        Answered("unmatched", 401, "unauthorized", 0.1),
        Answered("/v1/condense", 200, "disconnected", 0.1),
    ):
        metrics.answered(request)
    changed = {row: value for row, value in samples(registry).items() if value != before[row]}
    above = ("2.5", "5.0", "10.0", "30.0", "60.0", "120.0", "300.0", "600.0", "+Inf")
    expected: dict[tuple[str, ...], float] = {
        ("completions_total", "native", "ok"): 1,
        ("completions_total", "native", "disconnected"): 1,
        ("completions_total", "infill", "caller_error"): 1,
        ("client_disconnects_total",): 1,
        ("completion_seconds_sum",): 1.5,
        ("completion_seconds_count",): 1,
        **dict.fromkeys((("completion_seconds_bucket", le) for le in above), 1),
    }
    assert changed == expected


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_only_waiting_is_added_up() -> None:
    clock = Clock()
    waits = Waits(clock)
    for begins, seconds in ((True, 1.0), (True, 2.0), (False, 4.0), (True, 8.0), (False, 16.0), (False, 32.0)):
        (waits.begin if begins else waits.end)()
        clock.now += seconds
    assert waits.seconds == 1 + 2 + 8


def test_first_token_and_gaps() -> None:
    """Events without a token in them are neither: the opening of a chat, the totals at the end."""
    clock, registry = Clock(), CollectorRegistry()
    metrics = EdgeMetrics(registry, ["vps"])
    pace = Pace(metrics, clock, 0.0)
    for now, pieces in ((1.0, 0), (3.0, 1), (3.5, 4), (7.5, 5), (9.0, 5)):
        clock.now = now
        pace.seen(pieces)
    assert (metrics.ttft.total, sum(metrics.ttft.counts)) == (3.0, 1)
    assert (metrics.inter_token.total, sum(metrics.inter_token.counts)) == (4.5, 2)
