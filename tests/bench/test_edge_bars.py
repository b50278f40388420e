from __future__ import annotations

from typing import Any

import pytest

from benchmarks.edge_bars import BARS, Bar, Times, added_ms, median_ratio, rate_ratio, table


def times(*seconds: float, wall: float = 1.0, cpu: float = 0.0, problems: tuple[str, ...] = ()) -> Times:
    return Times(100, seconds, seconds, wall, cpu, problems)


def test_a_bar_is_met_up_to_its_limit_and_in_its_direction() -> None:
    assert Bar(2.0, 1.6).fields(2.0) == {"bar": "<= 2", "met": True, "goal": "<= 1.6"}
    assert Bar(2.0).fields(2.001) == {"bar": "<= 2", "met": False}
    assert BARS["together_ratio"].fields(0.28)["met"]
    assert not BARS["together_ratio"].fields(0.27)["met"]


def test_the_clients_results_are_added_up() -> None:
    one: dict[str, Any] = {"seconds": [1.0, 2.0], "first": [0.5, 0.5], "wall": 3.0, "cpu": 0.1, "problems": []}
    other: dict[str, Any] = {"seconds": [4.0], "first": [1.0], "wall": 4.0, "cpu": 0.2, "problems": ["cut"]}
    found = Times.of(100, [one, other])
    assert found.seconds == (1.0, 2.0, 4.0)
    assert (found.median_ms, found.first_ms, found.p99_ms) == (2000, 500, 4000)
    assert found.rate == pytest.approx(300 / 7)
    assert found.cpu_ms == pytest.approx(300 / 4)


def test_what_a_target_adds_and_its_ratios() -> None:
    direct, edge = times(0.001, 0.001, 0.009, wall=0.5), times(0.002, 0.0025, 0.003, wall=2.0)
    assert added_ms(edge, direct) == 1.5
    assert median_ratio(edge, direct) == 2.5
    assert rate_ratio(edge, direct) == 0.25


def test_wrong_answers_give_no_tokens_and_cost_all_the_same() -> None:
    found = times(1.0, wall=2.0, cpu=1.0, problems=("cut",))
    assert found.rate == 50
    assert found.cpu_ms == 500


def test_processor_time_that_cannot_be_seen_is_left_out() -> None:
    assert "cpu_ms" not in times(1.0).fields()
    assert "cpu_ms" not in times(1.0, cpu=1.0).fields(cpu=False)
    assert times(1.0, cpu=1.0).fields()["cpu_ms"] == 1000


def test_the_table_has_a_row_for_each_value_and_says_what_is_not_met() -> None:
    rows = [
        {"figure": "stream_ratio", "api": "chat", "system": "edge", "value": 2.5, "unit": "x direct", "met": False},
        {"figure": "rss_after", "system": "litellm", "value": 414.0, "unit": "MB"},
    ]
    head, first, second = table(rows).splitlines()
    assert head.split()[:3] == ["figure", "api", "system"]
    assert first.split() == ["stream_ratio", "chat", "edge", "2.5", "x", "direct", "NO"]
    assert second.split() == ["rss_after", "litellm", "414", "MB"]
