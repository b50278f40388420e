"""Rates, quantiles and pages: what is known of a counter by looking at it now and then."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from cerebrum_cli.top.series import History, Origin, Sample, Snapshot, grown_by, quantile, read_page

PI, VPS = Origin("edge", "pi"), Origin("inference", "vps")
COUNTS = st.integers(0, 1000)
# What happens between two looks: so many events, and whether the service began anew before them.
STEPS = st.lists(st.tuples(COUNTS, st.booleans()), min_size=1, max_size=20)


def look(at: float, **values: float) -> Snapshot:
    return Snapshot.of({PI: at}, [Sample(name, PI, {}, value) for name, value in values.items()])


@given(STEPS)
def test_a_counter_that_starts_anew_never_counts_too_much_or_backwards(steps: list[tuple[int, bool]]) -> None:
    looks, value, seen = [look(0, x=0)], 0, 0
    for number, (events, anew) in enumerate(steps, 1):
        before, value = value, events if anew else value + events
        # Events that a service counted up to where it was before it died cannot be seen.
        seen += events if value < before or not anew else value - before
        looks.append(look(number, x=value))
    (grown,) = History(looks).increases("x")
    assert grown.value == seen <= sum(events for events, _ in steps)
    assert History(looks).rate("x") == pytest.approx(seen / len(steps))


@given(st.floats(0, 1e12), st.floats(0, 1e12))
def test_growth_is_never_negative(before: float, after: float) -> None:
    assert 0 <= grown_by(before, after) <= after


def test_who_did_not_answer_gives_no_burst_when_it_is_back() -> None:
    both = {PI: 0.0, VPS: 0.0}
    tokens = [Sample("t", VPS, {}, 5000.0)]
    looks = [
        Snapshot.of(both, tokens),
        Snapshot.of({PI: 10.0}, []),
        Snapshot.of({PI: 20.0, VPS: 20.0}, [Sample("t", VPS, {}, 6000.0)]),
        Snapshot.of({PI: 30.0, VPS: 30.0}, [Sample("t", VPS, {}, 6050.0)]),
    ]
    assert History(looks).rate("t") == 5.0
    assert History(looks[:3]).rate("t") is None


def test_a_child_that_is_new_counts_from_nought() -> None:
    looks = [
        Snapshot.of({PI: 0.0}, []),
        Snapshot.of({PI: 10.0}, [Sample("c", PI, {"outcome": "ok"}, 20.0)]),
    ]
    assert History(looks).rate_by("c", "outcome") == {"ok": 2.0}
    assert History(looks[1:]).rate_by("c", "outcome") == {}
    assert History([]).rate("c") is None


BUCKETS = st.lists(st.tuples(st.floats(0.001, 1000), COUNTS), min_size=1, max_size=12, unique_by=lambda one: one[0])


@given(BUCKETS, COUNTS, st.floats(0, 1), st.floats(0, 1))
def test_quantiles_grow_and_stay_within_their_bucket(
    found: list[tuple[float, int]], above: int, one: float, other: float
) -> None:
    buckets, total = {}, 0
    for bound, count in sorted(found):
        total += count
        buckets[bound] = float(total)
    buckets[math.inf] = float(total + above)
    low, high = quantile(min(one, other), buckets), quantile(max(one, other), buckets)
    if not buckets[math.inf]:
        assert low is high is None
        return
    assert low is not None
    assert high is not None
    assert low <= high <= max(bound for bound in buckets if bound != math.inf)
    rank = max(one, other) * buckets[math.inf]
    if 0 < rank <= total:
        edges = [0.0, *sorted(bound for bound in buckets if bound != math.inf)]
        lower, upper = next((a, b) for a, b in pairwise(edges) if buckets[b] >= rank)
        assert lower * (1 - 1e-9) <= high <= upper * (1 + 1e-9)


def test_quantile_is_as_prometheus_has_it() -> None:
    buckets = {0.1: 2.0, 0.5: 6.0, 1.0: 8.0, math.inf: 8.0}
    assert quantile(0.5, buckets) == pytest.approx(0.3)
    assert quantile(0.95, buckets) == pytest.approx(0.9)
    assert quantile(0.9, {1.0: 1.0, math.inf: 10.0}) == 1.0
    assert quantile(0.5, {1.0: 3.0}) is None
    assert quantile(0.5, {math.inf: 3.0}) is None
    assert quantile(0.5, {}) is None


def test_quantiles_are_of_what_was_observed_in_between() -> None:
    def buckets(at: float, fast: float, slow: float) -> Snapshot:
        counts = {"0.1": fast, "1.0": fast + slow, "+Inf": fast + slow}
        return Snapshot.of({PI: at}, [Sample("h_bucket", PI, {"le": le}, value) for le, value in counts.items()])

    history = History([buckets(0, 1000, 0), buckets(10, 1000, 10)])
    assert history.quantiles("h", 0.5) == [pytest.approx(0.55)]
    assert History([buckets(0, 5, 5), buckets(10, 5, 5)]).quantiles("h", 0.5, 0.95) == [None, None]


def test_a_page_is_read_as_it_was_written() -> None:
    registry = CollectorRegistry()
    Counter("c", "C.", ["who"], registry=registry).labels('a"b\\c\nd').inc(3)
    Gauge("g", "G.", registry=registry).set(1.5)
    Histogram("h", "H.", buckets=(0.1, 10), registry=registry).observe(1)
    page = generate_latest(registry).decode()
    found = {(one.name, *one.labels.items()): one.value for one in read_page(page, PI, {"c_total", "g", "h_bucket"})}
    assert found == {
        ("c_total", ("who", 'a"b\\c\nd')): 3.0,
        ("g",): 1.5,
        ("h_bucket", ("le", "0.1")): 0.0,
        ("h_bucket", ("le", "10.0")): 1.0,
        ("h_bucket", ("le", "+Inf")): 1.0,
    }


@settings(deadline=None)
@given(st.text(max_size=200) | st.from_regex(r'[a-z_]+\{[a-z]*="?[^\n]{0,20}\}? ?[0-9a-zN+.-]*\n', fullmatch=True))
def test_what_is_no_page_is_said_to_be_none(text: str) -> None:
    try:
        found = list(read_page(text, PI, {"x"}))
    except ValueError:
        return
    assert all(one.name == "x" for one in found)
