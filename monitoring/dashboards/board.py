"""A whole board: variables on top, sections below each other, every panel with its place and its number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from monitoring.dashboards.panels import DATASOURCE, Json, Panel
from monitoring.dashboards.promql import Scope

# What Grafana 10.4 writes. A newer Grafana brings it up to its own; an older one does not bring it down.
SCHEMA_VERSION = 39
MINIMUM_GRAFANA = "10.4"
WIDTH = 24
TAG = "cerebrum"


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Choice:
    """A variable with fixed values, of which the first is chosen."""

    name: str
    title: str
    values: Sequence[str]


@dataclass(frozen=True, slots=True)
class Label:
    """A variable with the values that a label has in a metric of a scope; all of them are chosen."""

    name: str
    title: str
    selector: str


def board(
    uid: str,
    title: str,
    description: str,
    *,
    scopes: Sequence[Scope],
    sections: Sequence[Section],
    choices: Sequence[Choice] = (),
    labels: Sequence[Label] = (),
) -> Json:
    """The board as Grafana reads it."""
    return {
        "id": None,  # Grafana numbers boards itself, and a number of another installation would be refused
        "uid": uid,
        "title": title,
        "description": description,
        "tags": [TAG],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timepicker": {},
        "fiscalYearStartMonth": 0,
        "annotations": {"list": []},
        "links": [_link()],
        "templating": {"list": [*_variables(scopes), *map(_label, labels), *map(_choice, choices)]},
        "panels": list(_placed(sections)),
    }


def _placed(sections: Sequence[Section]) -> Iterable[Json]:
    """Panels from left to right, a new line where the next one does not fit."""
    number, top = 0, 0
    for section in sections:
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": section.title,
            "collapsed": False,
            "panels": [],
            "gridPos": {"x": 0, "y": top, "w": WIDTH, "h": 1},
        }
        left, top, tallest = 0, top + 1, 0
        for panel in section.panels:
            if left + panel.width > WIDTH:
                left, top, tallest = 0, top + tallest, 0
            number += 1
            place = {"x": left, "y": top, "w": panel.width, "h": panel.height}
            yield {"id": number, **panel.body, "gridPos": place}
            left, tallest = left + panel.width, max(tallest, panel.height)
        top += tallest


def _variables(scopes: Sequence[Scope]) -> Iterable[Json]:
    yield {
        "type": "datasource",
        "name": "datasource",
        "label": "Prometheus",
        "query": "prometheus",
        "regex": "",
        "refresh": 1,
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "options": [],
        "current": {},
    }
    for scope in scopes:
        yield _query(scope.job, f"{scope.title} job", f"label_values({scope.metric}, job)")
        among = f'{scope.metric}{{job=~"${scope.job}"}}'
        yield _query(scope.instance, scope.title, f"label_values({among}, instance)")


def _label(label: Label) -> Json:
    return _query(label.name, label.title, f"label_values({label.selector}, {label.name})")


def _query(name: str, title: str, query: str) -> Json:
    return {
        "type": "query",
        "name": name,
        "label": title,
        "datasource": DATASOURCE,
        "definition": query,
        "query": {"query": query, "refId": f"variable-{name}"},
        "regex": "",
        "refresh": 2,  # with the time range: hosts come and go
        "sort": 1,
        "hide": 0,
        "includeAll": True,
        "multi": True,
        "options": [],
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def _choice(choice: Choice) -> Json:
    options = [{"text": value, "value": value, "selected": index == 0} for index, value in enumerate(choice.values)]
    return {
        "type": "custom",
        "name": choice.name,
        "label": choice.title,
        "query": ",".join(choice.values),
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "options": options,
        "current": options[0],
    }


def _link() -> dict[str, Any]:
    return {
        "title": "Cerebrum",
        "type": "dashboards",
        "tags": [TAG],
        "asDropdown": True,
        "includeVars": False,
        "keepTime": True,
        "targetBlank": False,
        "icon": "external link",
        "tooltip": "",
        "url": "",
    }
