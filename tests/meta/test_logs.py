"""What `playbooks/logs.yml` makes of the journals: a request's records, of all hosts, by time, a line each."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from support.playbooks import plugin

logs: Any = plugin("roles/logs/filter_plugins/logs.py")
ID = "4f0c.my-request_1"
SECOND = 1_800_000_000


def entry(message: Any, seconds: float = SECOND, unit: str = "cerebrum-edge@0.1.0.service") -> str:
    return json.dumps({"MESSAGE": message, "__REALTIME_TIMESTAMP": f"{seconds * 1e6:.0f}", "_SYSTEMD_UNIT": unit})


def said(event: str, time: str = "", **more: Any) -> str:
    return json.dumps({"event": event, "request_id": ID, "level": "info", "time": time, **more})


def test_records_of_all_hosts_are_in_order_of_time() -> None:
    edge = entry(
        said("request", "2027-01-15T08:00:01.500Z", service="edge", status=200, route="/v1/complete", key_id=None)
    )
    vps = entry(
        said("request", "2027-01-15T08:00:01.250Z", service="inference", seconds=0.2),
        unit="cerebrum-inference@b.service",
    )
    late = entry(said("request failed", "2027-01-15T08:00:02Z", service="edge", level="warning", reason="it is gone"))
    assert logs.merged({"pi": f"{late}\n{edge}\n", "vps": f"{vps}\n"}, ID).splitlines() == [
        "2027-01-15, UTC, by each host's clock",
        "08:00:01.250  vps  inference  request seconds=0.2",
        "08:00:01.500  pi   edge       request route=/v1/complete status=200",
        '08:00:02.000  pi   edge       WARNING request failed reason="it is gone"',
    ]


def test_ids_that_only_begin_alike_are_others() -> None:
    other = json.dumps({"event": "request", "request_id": f"{ID}2"})
    dotted = json.dumps({"event": "request", "request_id": ID.replace(".", "x")})
    assert logs.merged({"pi": f"{entry(other)}\n{entry(dotted)}\n{entry('x' + ID)}"}, ID) == ""


def test_lines_that_are_no_json_are_told_as_they_are() -> None:
    (_, line) = logs.merged({"pi": entry(f"proxy: {ID}, 200", unit="cerebrum-haproxy.service")}, ID).splitlines()
    assert line == f"08:00:00.000  pi  haproxy  proxy: {ID}, 200"


def test_a_request_over_midnight_has_dates() -> None:
    one, other = entry(said("a", "2027-01-15T23:59:59Z")), entry(said("b", "2027-01-16T00:00:01Z"))
    _, first, second = logs.merged({"pi": f"{one}\n{other}"}, ID).splitlines()
    assert first.startswith("2027-01-15 23:59:59.000")
    assert second.startswith("2027-01-16 00:00:01.000")


def test_what_the_journal_mangled_is_passed_over() -> None:
    lines = ["", "no json", "[]", "{}", entry([1, 2]), json.dumps({"MESSAGE": said("x"), "__REALTIME_TIMESTAMP": None})]
    assert logs.merged({"pi": "\n".join(lines)}, ID) == ""


@given(st.lists(st.tuples(st.floats(0, 1e6), st.text(max_size=20)), min_size=1, max_size=20), st.integers(1, 4))
def test_a_record_is_a_line_and_none_is_lost(rows: list[tuple[float, str]], hosts: int) -> None:
    journals: dict[str, list[str]] = {f"host{number}": [] for number in range(hosts)}
    for number, (seconds, text) in enumerate(rows):
        message = said("request", reason=text, number=number)
        journals[f"host{number % hosts}"].append(entry(message, SECOND + seconds))
    told = logs.merged({host: "\n".join(lines) for host, lines in journals.items()}, ID)
    lines = told.split("\n")[1:]
    assert len(lines) == len(rows)
    order = [int(line.rpartition("number=")[2]) for line in lines]
    times = [round(rows[number][0], 6) for number in order]
    assert times == sorted(times)
