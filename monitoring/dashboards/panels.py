"""Panels, as Grafana's JSON has them, without their place and their number: a board gives those."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from monitoring.dashboards.units import Unit

Json = dict[str, Any]
DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
Levels = Sequence[tuple[float | None, str]]
"""From which value on a colour holds; the first has no value."""
PLAIN: Levels = ((None, "text"),)
NONE_IS_GOOD: Levels = ((None, "green"), (1, "red"))
ONE_IS_GOOD: Levels = ((None, "red"), (1, "green"))


def above(warning: float, critical: float) -> Levels:
    """Green, and worse the higher."""
    return ((None, "green"), (warning, "orange"), (critical, "red"))


def below(critical: float, warning: float) -> Levels:
    """Green, and worse the lower."""
    return ((None, "red"), (critical, "orange"), (warning, "green"))


@dataclass(frozen=True, slots=True)
class Query:
    """An expression, and what its series are called (`{{label}}` is replaced)."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """What fills a place of `width` 24ths of the board and `height` rows of 30 pixels."""

    width: int
    height: int
    body: Json


def stat(
    title: str,
    description: str,
    *queries: Query,
    unit: Unit,
    levels: Levels = PLAIN,
    names: Mapping[int, tuple[str, str]] | None = None,
    quiet: str = "nothing yet",
    decimals: int | None = None,
    width: int = 4,
) -> Panel:
    """What holds now, as large numbers.

    Args:
        names: the text and the colour that a value is shown as.
        quiet: what is shown where there is no value.
    """
    defaults = _defaults(unit, levels, quiet=quiet)
    if decimals is not None:
        defaults["decimals"] = decimals
    if names:
        texts = {
            str(value): {"text": text, "color": colour, "index": index}
            for index, (value, (text, colour)) in enumerate(names.items())
        }
        defaults["mappings"] = [{"type": "value", "options": texts}]
    options = {
        "reduceOptions": {"values": False, "calcs": ["lastNotNull"], "fields": ""},
        "colorMode": "value" if levels is PLAIN and not names else "background",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": "auto" if len(queries) == 1 and not queries[0].legend else "value_and_name",
    }
    return _panel("stat", title, description, queries, width, 4, defaults=defaults, options=options, instant=True)


def timeseries(
    title: str,
    description: str,
    *queries: Query,
    unit: Unit,
    stacked: bool = False,
    steps: bool = False,
    levels: Levels = PLAIN,
    names: Mapping[int, tuple[str, str]] | None = None,
    most: float | None = None,
    width: int = 8,
) -> Panel:
    """How it went.

    Args:
        steps: the value holds until the next one: a state, not a measurement.
        most: the end of the axis, where there is one.
    """
    defaults = _defaults(unit, levels, quiet="no traffic")
    defaults["color"] = {"mode": "palette-classic"}
    defaults["min"] = 0
    if most is not None:
        defaults["max"] = most
    if names:
        texts = {str(value): {"text": text, "color": colour} for value, (text, colour) in names.items()}
        defaults["mappings"] = [{"type": "value", "options": texts}]
    defaults["custom"] = {
        "drawStyle": "line",
        "lineInterpolation": "stepAfter" if steps else "linear",
        "lineWidth": 1,
        "fillOpacity": 30 if stacked else 8,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "off" if levels is PLAIN else "dashed"},
    }
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return _panel("timeseries", title, description, queries, width, 8, defaults=defaults, options=options)


def heatmap(title: str, description: str, query: Query, *, unit: Unit, width: int = 8) -> Panel:
    """How a histogram's observations spread; `query` gives the increase of each bucket."""
    options = {
        "calculate": False,
        "yAxis": {"axisPlacement": "left", "unit": unit},
        "rowsFrame": {"layout": "auto"},
        "color": {
            "mode": "scheme",
            "scheme": "Oranges",
            "fill": "dark-orange",
            "exponent": 0.5,
            "steps": 64,
            "reverse": False,
        },
        "cellGap": 1,
        "cellValues": {"unit": Unit.COUNT},
        "filterValues": {"le": 1e-9},
        "showValue": "never",
        "legend": {"show": False},
        "tooltip": {"mode": "single", "yHistogram": False, "showColorScale": False},
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
    }
    defaults = _defaults(unit, PLAIN, quiet="no traffic")
    return _panel("heatmap", title, description, (query,), width, 8, defaults=defaults, options=options)


def table(
    title: str,
    description: str,
    query: Query,
    *,
    unit: Unit,
    columns: Mapping[str, str],
    levels: Levels = PLAIN,
    names: Mapping[int, tuple[str, str]] | None = None,
    width: int = 12,
) -> Panel:
    """A row a series.

    Args:
        columns: labels in the order of their columns, with their titles; `Value` is the value. Others are hidden.
    """
    defaults = _defaults(unit, levels, quiet="nothing")
    defaults["custom"] = {"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False}
    if names:
        texts = {str(value): {"text": text, "color": colour} for value, (text, colour) in names.items()}
        defaults["mappings"] = [{"type": "value", "options": texts}]
    panel = _panel(
        "table",
        title,
        description,
        (query,),
        width,
        8,
        defaults=defaults,
        options={"showHeader": True, "cellHeight": "sm"},
        instant=True,
    )
    panel.body["transformations"] = [
        {"id": "filterFieldsByName", "options": {"include": {"names": list(columns)}}},
        {
            "id": "organize",
            "options": {
                "excludeByName": {},
                "indexByName": {label: index for index, label in enumerate(columns)},
                "renameByName": dict(columns),
            },
        },
    ]
    return panel


def _defaults(unit: Unit, levels: Levels, *, quiet: str) -> Json:
    steps = [{"value": value, "color": colour} for value, colour in levels]
    return {
        "unit": unit,
        "color": {"mode": "thresholds"},
        "thresholds": {"mode": "absolute", "steps": steps},
        "noValue": quiet,
    }


def _panel(
    kind: str,
    title: str,
    description: str,
    queries: Sequence[Query],
    width: int,
    height: int,
    *,
    defaults: Json,
    options: Json,
    instant: bool = False,
) -> Panel:
    shape = {"heatmap": "heatmap", "table": "table"}.get(kind, "time_series")
    targets = [
        {
            "refId": letter,
            "datasource": DATASOURCE,
            "expr": query.expr,
            "legendFormat": "{{le}}" if kind == "heatmap" else query.legend or "__auto",
            "format": shape,
            "instant": instant,
            "range": not instant,
        }
        for letter, query in zip(ascii_uppercase, queries, strict=False)
    ]
    body = {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
    }
    return Panel(width, height, body)
