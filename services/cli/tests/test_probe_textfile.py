"""What a probe writes for the collector, and what the next one takes from it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from cerebrum_cli.probe.textfile import Counts, DamagedError, Result, after, parse, render

WELL = Result(None, 0.25, 0.125)
DEAD = Result("no edge answers", 0.5, None)


def values(text: str) -> dict[str, float]:
    return {row.name: row.value for family in text_string_to_metric_families(text) for row in family.samples}


def test_an_answer_and_then_none() -> None:
    first = after(Counts(), WELL)
    assert values(render(first, WELL, 1_700_000_000.5)) == {
        "cerebrum_probe_success": 1,
        "cerebrum_probe_attempts_total": 1,
        "cerebrum_probe_failures_total": 0,
        "cerebrum_probe_last_run_timestamp_seconds": 1_700_000_000.5,
        "cerebrum_probe_duration_seconds": 0.25,
        "cerebrum_probe_time_to_first_token_seconds": 0.125,
    }
    second = after(parse(render(first, WELL, 1)), DEAD)
    assert values(render(second, DEAD, 2)) == {
        "cerebrum_probe_success": 0,
        "cerebrum_probe_attempts_total": 2,
        "cerebrum_probe_failures_total": 1,
        "cerebrum_probe_last_run_timestamp_seconds": 2,
        "cerebrum_probe_duration_seconds": 0.5,
    }


@given(st.lists(st.booleans(), max_size=20))
def test_counts_go_on_from_file_to_file(failed: list[bool]) -> None:
    text = render(Counts(), WELL, 0)
    for one in failed:
        result = DEAD if one else WELL
        text = render(after(parse(text), result), result, 0)
    assert parse(text) == Counts(len(failed), sum(failed))


WHOLE = render(Counts(7, 3), WELL, 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\0" * 100,
        WHOLE[:200],
        WHOLE + WHOLE,
        WHOLE.replace("_total 7", "_total 2"),
        WHOLE.replace("_total 7", "_total NaN"),
        WHOLE.replace("_total 7", "_total -7"),
        WHOLE.replace("_total 7", "_total 7.5"),
        WHOLE.replace("_total 7", "_total " + "7" * 400),
        WHOLE.replace("cerebrum_probe_failures_total 3", ""),
    ],
)
def test_damaged_files_are_known(text: str) -> None:
    with pytest.raises(DamagedError):
        parse(text)


@given(st.text())
def test_no_text_does_more_than_be_refused(text: str) -> None:
    try:
        counts = parse(text)
    except DamagedError:
        return
    assert 0 <= counts.failures <= counts.attempts
