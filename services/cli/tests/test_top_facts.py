"""From metrics to the picture, and the picture as a terminal shows it."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from cerebrum_cli.top.facts import facts, firing
from cerebrum_cli.top.picture import Backend, Facts, Service
from cerebrum_cli.top.render import answering, bar, rate, render, seconds, span
from cerebrum_cli.top.series import History, Origin, Sample, Snapshot

PI, VPS = Origin("edge", "pi"), Origin("inference", "vps")
E, N, P = "cerebrum_edge_", "cerebrum_inference_", "cerebrum_probe_"
Row = tuple[str, Mapping[str, str], float]
EDGE: list[Row] = [
    (f"{E}ready", {}, 1),
    (f"{E}draining", {}, 0),
    (f"{E}build_info", {"version": "0.1.0", "release": "0.1.0-abc"}, 1),
    (f"{E}inflight", {}, 2),
    (f"{E}queue_depth", {}, 3),
    (f"{E}backend_up", {"backend": "vps"}, 1),
    (f"{E}breaker_state", {"backend": "vps", "state": "closed"}, 0),
    (f"{E}breaker_state", {"backend": "vps", "state": "half_open"}, 1),
    (f"{E}breaker_state", {"backend": "vps", "state": "open"}, 0),
]
HOST: list[Row] = [
    (f"{N}ready", {}, 1),
    (f"{N}slots", {"state": "decode"}, 1),
    (f"{N}slots", {"state": "prefill"}, 1),
    (f"{N}slots", {"state": "idle"}, 2),
    (f"{N}model_loaded", {"model": "tiny"}, 1),
    (f"{N}model_available", {"model": "tiny"}, 1),
    (f"{N}model_loaded", {"model": "big"}, 0),
    (f"{N}model_available", {"model": "big"}, 0),
    (f"{N}tokens_per_second", {"model": "tiny"}, 120.4),
    (f"{N}kv_cells", {"model": "tiny"}, 1000),
    (f"{N}kv_cells_used", {"model": "tiny", "state": "live"}, 300),
    (f"{N}kv_cells_used", {"model": "tiny", "state": "idle"}, 200),
]
PROBE: list[Row] = [
    (f"{P}success", {}, 1),
    (f"{P}last_run_timestamp_seconds", {}, 1000.0),
    (f"{P}duration_seconds", {}, 0.25),
    (f"{P}time_to_first_token_seconds", {}, 0.04),
]


def look(at: float, counted: float) -> Snapshot:
    counters: list[Row] = [
        (f"{E}completions_total", {"dialect": "chat", "outcome": "ok"}, counted),
        (f"{E}completions_total", {"dialect": "native", "outcome": "ok"}, counted),
        (f"{E}completions_total", {"dialect": "native", "outcome": "overloaded"}, counted / 2),
        (f"{E}shed_total", {"reason": "queue_full"}, counted / 2),
        (f"{E}backend_failures_total", {"backend": "vps", "code": "upstream_error"}, counted / 10),
        (f"{E}condensations_total", {"outcome": "condensed"}, counted),
        (f"{E}condensations_total", {"outcome": "unchanged"}, 0),
        (f"{E}stream_resumes_total", {}, 0),
        (f"{E}tokens_total", {}, counted * 40),
        (f"{E}time_to_first_token_seconds_bucket", {"le": "0.1"}, counted),
        (f"{E}time_to_first_token_seconds_bucket", {"le": "+Inf"}, counted),
        (f"{E}condensed_ratio_bucket", {"le": "0.4"}, 0),
        (f"{E}condensed_ratio_bucket", {"le": "0.5"}, counted),
        (f"{E}condensed_ratio_bucket", {"le": "+Inf"}, counted),
    ]
    hosts: list[Row] = [*HOST, (f"{N}generated_tokens_total", {"model": "tiny"}, counted * 50)]
    rows = [(PI, row) for row in [*EDGE, *counters, *PROBE]] + [(VPS, row) for row in hosts]
    return Snapshot.of({PI: at, VPS: at}, [Sample(name, of, labels, value) for of, (name, labels, value) in rows])


@pytest.fixture
def found() -> Facts:
    stats = {"backends": [{"name": "vps", "outstanding": 2, "breaker": {"state": "half_open", "retry_in": 4.0}}]}
    alerts = firing([{"alertname": "Watchdog", "alertstate": "firing"}])
    return facts(History([look(0, 0), look(60, 120)]), moment=1012.0, stats=stats, alerts=alerts)


def shown(what: RenderableType, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(what)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_every_fact_is_read(found: Facts) -> None:
    assert found.completions == {"ok": 4.0, "overloaded": 1.0}
    assert found.shed == {"queue_full": 1.0}
    assert (found.inflight, found.queue, found.tokens, found.generated) == (2, 3, 80, 100)
    assert found.first_token.p50 == pytest.approx(0.05)
    assert found.first_token.p95 == pytest.approx(0.095)
    assert found.condensed == pytest.approx(0.45)
    assert found.edges == [Service("pi", True, False, "0.1.0-abc")]
    assert found.backends == [Backend("pi", "vps", True, "half_open", 0.2, 2, 4.0, None)]
    assert found.slots == {"decode": 1, "prefill": 1, "idle": 2}
    assert [(one.name, one.loaded, one.available, one.live) for one in found.models] == [
        ("tiny", True, True, 300),
        ("big", False, False, 0),
    ]
    assert found.probes[0].age == pytest.approx(12)
    assert found.alerts == []


def test_the_picture_says_it_in_words(found: Facts) -> None:
    text = shown(render("somewhere", found, ["vps is gone"], hint="q leaves"))
    for words in (
        "cerebrum top · q leaves · somewhere",
        "rates over the last 60 s",
        "! vps is gone",
        "answering    yes",
        "pi ready 0.1.0-abc",
        "ok 4.00/s, overloaded 1.00/s",
        "first token  p50 50.0 ms, p95 95.0 ms",
        "2 in work, 3 waiting, queue_full 1.00/s",
        "80.0/s to clients, 100/s generated",
        "2.00/s to 45%, as they are 0.0/s",
        "█████░░░░░░░░░░ 1 write, 1 read, 2 idle",
        "answered 12 s ago, 250 ms, first token 40.0 ms",
        "half open, tried in 4 s",
        "MISSING",
        "30% used, 20% kept",
        "no alert fires",
    ):
        assert words in text, f"{words!r} is not in\n{text}"


def test_nothing_known_is_no_error() -> None:
    empty = facts(History([]), moment=0.0)
    assert answering(empty) == (False, "no edge tells anything")
    text = shown(render("somewhere", empty))
    assert "NO: no edge tells anything" in text
    assert "alert" not in text
    assert "looking" in shown(render("somewhere", None))
    assert "looking" not in shown(render("somewhere", None, ["gone"]))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"edges": [Service("pi", False, False, "")]}, "the edge is not ready"),
        ({"edges": [Service("pi", False, True, "")]}, "the edge is draining"),
        ({"backends": [Backend("pi", "vps", False, "closed", None)]}, "no backend is up"),
        ({"backends": [Backend("pi", "vps", True, "open", None)]}, "every backend is set aside after failures"),
        ({"probes": []}, ""),
    ],
)
def test_what_speaks_against_an_answer_is_named(found: Facts, change: dict[str, object], why: str) -> None:
    assert answering(dataclasses.replace(found, **change)) == (not why, why)  # type: ignore[arg-type]  # by field name


def test_a_failed_probe_speaks_against_an_answer_where_nobody_else_gets_one(found: Facts) -> None:
    failed = dataclasses.replace(found, probes=[dataclasses.replace(found.probes[0], success=False)])
    assert answering(failed) == (True, "the last probe failed")
    assert "yes, though the last probe failed" in shown(render("x", failed))
    assert "failed 12 s ago" in shown(render("x", failed))
    alone = dataclasses.replace(failed, completions={"ok": 0.0, "overloaded": 1.0})
    assert answering(alone) == (False, "the last probe failed")


def test_alerts_are_sorted_by_what_they_do_to_people() -> None:
    rows = [
        {"__name__": "ALERTS", "alertname": "B", "alertstate": "firing", "severity": "ticket", "instance": "pi"},
        {"alertname": "C", "alertstate": "pending", "severity": "page"},
        {"alertname": "A", "alertstate": "firing", "severity": "page", "job": "edge", "backend": "vps"},
        {"alertname": "Watchdog", "alertstate": "firing"},
    ]
    found = firing(rows)
    assert [(one.name, one.pending, one.about) for one in found] == [
        ("A", False, "backend=vps, job=edge"),
        ("B", False, "instance=pi"),
        ("C", True, ""),
    ]
    text = shown(render("x", dataclasses.replace(facts(History([]), moment=0.0), alerts=found)))
    assert "page (pending)" in text


@settings(deadline=None)  # drawing takes as long as the machine has others to serve
@given(st.text(alphabet=st.characters(categories=("L", "N", "P", "S", "Cc", "Cf")), max_size=30), st.integers(10, 200))
def test_names_of_others_are_shown_and_never_obeyed(name: str, width: int) -> None:
    origin = Origin("edge", name)
    rows = [("backend_up", {"backend": name}, 0.0), ("completions_total", {"outcome": name}, 5.0), ("ready", {}, 1.0)]
    now = Snapshot.of({origin: 1.0}, [Sample(E + one, origin, labels, value) for one, labels, value in rows])
    stats = {"backends": [{"name": name, "problem": name, "breaker": None, "outstanding": 1}]}
    alerts = firing([{"alertname": name, "alertstate": "firing", "severity": name, "x": name}])
    history = History([Snapshot.of({origin: 0.0}, []), now])
    text = shown(render(name, facts(history, moment=1.0, stats=stats, alerts=alerts), [name]), width)
    assert not [one for one in text if ord(one) < 32 and one != "\n"]
    assert "\x7f" not in text
    assert "\u202e" not in text
    assert "\x9b" not in text


@given(st.lists(st.floats(0, 1e6), max_size=4), st.floats(0, 1e6))
def test_a_bar_has_one_width_whatever_the_parts(parts: list[float], total: float) -> None:
    assert len(bar([(part, "red") for part in parts], total).plain) == 20


def test_numbers_have_as_many_digits_as_help() -> None:
    assert [rate(value) for value in (None, 0.0, 0.123, 9.99, 9.996, 50.04, 99.96, 12345.6)] == [
        *("-", "0.0/s", "0.12/s", "9.99/s", "10.0/s", "50.0/s", "100/s", "12346/s"),
    ]
    assert [seconds(value) for value in (None, 0.0042, 0.0996, 0.25, 1.234, 12.34, 130.0)] == [
        *("-", "4.2 ms", "100 ms", "250 ms", "1.23 s", "12.3 s", "2 m 10 s"),
    ]
    assert [span(value) for value in (0, 59.4, 61, 120, 3600, 90061)] == [
        *("0 s", "59 s", "61 s", "2 m 0 s", "1 h 0 m", "1 d 1 h"),
    ]
