"""Every expression of every dashboard, against Debian's Prometheus that watches the real services at work."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from support.boards import Asked, asked, boards, legend_labels, selectors, variables
from support.monitored import Monitored
from support.watching import Prometheus

# Prometheus makes these itself.
MADE_BY_PROMETHEUS = {"up", "ALERTS", "scrape_duration_seconds"}
ASKED = asked()


@dataclass
class Seen:
    """What was there when the load was over.

    Attributes:
        types: of every family on a page, by the names of its series.
        values: of each board's variables that are queries, as Grafana puts them into a regular expression.
    """

    prometheus: Prometheus
    began: float
    ended: float
    types: dict[str, str]
    values: dict[str, dict[str, str]]


@pytest.fixture(scope="session")
def seen(monitored: Monitored) -> Seen:
    return look(monitored)


def look(system: Monitored) -> Seen:
    types: dict[str, str] = {}
    for page in system.pages().values():
        for name, kind in re.findall(r"^# TYPE (\S+) (\w+)$", page, re.MULTILINE):
            types |= {name + suffix: kind for suffix in _SERIES.get(kind, ("",))}
    ended = float(system.prometheus.get("/query", query="time()")["result"][1])
    values = {name: chosen(board, system.prometheus) for name, board in boards().items()}
    return Seen(system.prometheus, system.began, ended, types, values)


_SERIES = {"histogram": ("_bucket", "_count", "_sum"), "summary": ("", "_count", "_sum")}


def chosen(board: dict[str, Any], prometheus: Prometheus) -> dict[str, str]:
    """All values of each variable that is a query, found as Grafana finds them, from left to right."""
    values: dict[str, str] = {}
    for one in variables(board):
        if one["type"] == "query":
            asked = re.fullmatch(r"label_values\((.+), (\w+)\)", one["query"]["query"])
            assert asked, one
            found = prometheus.label_values(asked[2], filled(asked[1], values))
            assert found, f"{one['name']}: {asked[0]} finds nothing"
            values[one["name"]] = f"({'|'.join(found)})"
    return values


def filled(text: str, values: dict[str, str]) -> str:
    """`text` with variables replaced; what is left over is an error of Prometheus."""
    return re.sub(r"\$(\w+)", lambda name: values.get(name[1], name[0]), text)


def ways(query: Asked, seen: Seen) -> Iterator[str]:
    """The expression with every variable filled in; once for each value of those that a person chooses from."""
    choices = {
        one["name"]: one["query"].split(",")
        for one in variables(boards()[query.board])
        if one["type"] == "custom" and f"${one['name']}" in query.expr
    }
    # Everything has happened within this time.
    known = {"__rate_interval": "2m", "__range": "10m", **seen.values[query.board]}
    for picked in itertools.product(*choices.values()):
        yield filled(query.expr, known | dict(zip(choices, picked, strict=True)))


@pytest.fixture(params=ASKED, ids=lambda one: f"{one.board}-{one.panel['title']}-{one.target['refId']}")
def query(request: pytest.FixtureRequest) -> Asked:
    found: Asked = request.param
    return found


def test_metrics_exist_and_counters_are_seen_through_a_rate(query: Asked, seen: Seen) -> None:
    for one in selectors(query.expr):
        if one.name not in MADE_BY_PROMETHEUS:
            assert one.name in seen.types, f"{query.where}: nobody has {one.name}"
            if seen.types[one.name] in ("counter", "histogram"):
                assert one.function in ("rate", "increase"), query.where
            elif seen.types[one.name] == "gauge":
                assert one.function not in ("rate", "increase"), query.where


def test_expression_finds_something_and_no_nan(query: Asked, seen: Seen) -> None:
    wanted = set(legend_labels(query.target["legendFormat"])) | columns(query)
    for expr in ways(query, seen):
        found = seen.prometheus.query(expr)
        assert found, f"{query.where}: {expr} finds nothing"
        assert not [one for one in found if math.isnan(float(one["value"][1]))], f"{query.where}: {expr}"
        for one in found:
            assert wanted <= one["metric"].keys(), f"{query.where}: {wanted - one['metric'].keys()} is not in {one}"


def columns(query: Asked) -> set[str]:
    """The labels that a table shows."""
    shown = [one["options"] for one in query.panel.get("transformations", []) if one["id"] == "organize"]
    return {label for options in shown for label in options["renameByName"]} - {"Value"}


def test_idle_time_before_the_load_gives_no_nan_either(query: Asked, seen: Seen) -> None:
    for expr in ways(query, seen):
        for one in seen.prometheus.history(expr, seen.began, seen.ended):
            assert "NaN" not in [value for _, value in one["values"]], f"{query.where}: {expr} {one['metric']}"
