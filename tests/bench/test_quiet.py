from __future__ import annotations

import math

import pytest

from benchmarks.inside import quantile, slope
from benchmarks.quiet import Reading, Sample, foreign_share, machine_ticks, process_ticks, trust, usable


def test_what_others_used_is_what_was_busy_without_ones_own() -> None:
    before, after = Reading(1000, 500, 100), Reading(1200, 600, 160)
    assert foreign_share(before, after) == pytest.approx(40 / 200)


def test_own_time_that_is_counted_later_than_the_machines_is_not_negative() -> None:
    assert foreign_share(Reading(0, 0, 0), Reading(100, 90, 20)) == 0
    assert foreign_share(Reading(5, 5, 0), Reading(5, 5, 0)) == 0


def test_waiting_for_a_disk_is_idle_and_guests_are_counted_once() -> None:
    total, idle = machine_ticks("cpu  10 1 5 80 20 1 2 3 4 5\ncpu0 1 1 1 1\n")
    assert (total, idle) == (122, 100)


def test_a_processs_name_may_hold_what_ends_it() -> None:
    fields = ["S", *("0" for _ in range(10)), "30", "12", "99", "99"]
    assert process_ticks(f"7 (a) b) {' '.join(fields)}") == 42


def test_unquiet_samples_count_only_where_there_is_no_other() -> None:
    quiet, loud = Sample(1.0, 0.02), Sample(9.0, 0.5)
    assert usable([loud, quiet]) == [quiet]
    assert usable([loud]) == [loud]


def test_a_comparison_is_as_quiet_as_its_loudest_side() -> None:
    quiet, loud = Sample(1.0, 0.02), Sample(9.0, 0.5)
    assert trust([quiet, loud], [quiet]) == {"samples": 1, "quiet": True, "foreign": 0.02}
    assert trust([quiet], [loud]) == {"samples": 1, "quiet": False, "foreign": 0.5}


def test_slope_and_quantile() -> None:
    assert slope([(0, 1), (1, 3)]) is None
    found = slope([(0, 1), (1, 3), (2, 5)])
    assert found is not None
    assert math.isclose(found, 2)
    assert quantile([float(value) for value in range(100)], 0.99) == 99
