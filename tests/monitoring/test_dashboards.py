"""What must hold for every dashboard, seen in its file alone. Grafana itself is not here: see docs/dashboards.md."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from monitoring.dashboards.units import Unit
from support.boards import Asked, asked, boards, divisors, legend_labels, panels, selectors, variables
from support.grafana_schema import findings
from support.repo import ROOT

BOARDS = boards()
ASKED = asked()
# About everything that is watched, whatever job it belongs to.
OF_ALL_JOBS = {"up", "ALERTS", "scrape_duration_seconds"}
OF_GRAFANA = {"__rate_interval", "__range"}
WINDOWS = {"$__rate_interval", "$__range", "$window"}
COUNTERS = re.compile(r".+_(total|count|sum|bucket)")


@pytest.fixture(params=sorted(BOARDS))
def board(request: pytest.FixtureRequest) -> dict[str, Any]:
    return BOARDS[request.param]


@pytest.fixture(params=ASKED, ids=lambda one: f"{one.board}-{one.panel['title']}-{one.target['refId']}")
def query(request: pytest.FixtureRequest) -> Asked:
    found: Asked = request.param
    return found


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "monitoring.dashboards", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_files_are_what_the_code_writes() -> None:
    checked = run("--check")
    assert checked.returncode == 0, checked.stderr
    assert run("--chekc").returncode == 2
    assert len(BOARDS) == 4


def test_a_stale_file_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from monitoring.dashboards import __main__ as command

    monkeypatch.setattr(command, "FOLDER", tmp_path / "dashboards")
    assert command.main([]) == 0
    (tmp_path / "dashboards" / "cerebrum-edge.json").write_text("{}", encoding="utf-8")
    (tmp_path / "dashboards" / "of-old.json").write_text("{}", encoding="utf-8")
    assert command.main(["--check"]) == 1
    said = capsys.readouterr().err
    assert "cerebrum-edge.json is not what" in said
    assert "of-old.json is not what" in said
    assert command.main([]) == 0
    assert command.main(["--check"]) == 0


def test_schema_knows_every_key_and_every_type(board: dict[str, Any]) -> None:
    assert findings(board) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("fieldConfig.defaults.untis", "s"),
        ("fieldConfig.defaults.custom.lineWitdh", 1),
        ("fieldConfig.defaults.custom.drawStyle", "lines"),
        ("options.legend.placement", "below"),
        ("options.tooltip.sort", 1),
        ("gridPos.w", "8"),
        ("targets.0.exprs", "up"),
        ("targets.0.instant", "no"),
    ],
)
def test_schema_is_strict(path: str, value: object) -> None:
    board = json.loads(json.dumps(BOARDS["cerebrum-edge.json"]))
    *way, last = path.split(".")
    found: Any = next(panel for panel in board["panels"] if panel["type"] == "timeseries")
    for step in way:
        found = found[int(step) if step.isdigit() else step]
    found[last] = value
    assert findings(board)


def test_board_can_be_provisioned() -> None:
    uids = [board["uid"] for board in BOARDS.values()]
    assert len(set(uids)) == len(uids)
    for name, board in BOARDS.items():
        assert name == f"{board['uid']}.json"
        assert re.fullmatch(r"[a-z0-9-]{1,40}", board["uid"])
        assert board["id"] is None
        assert "__inputs" not in json.dumps(board)
        assert "${DS_" not in json.dumps(board)
        assert board["schemaVersion"] == 39


def test_panels_have_numbers_names_and_words(board: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    titles = [panel["title"] for panel in panels(board)]
    assert len(set(titles)) == len(titles)
    for panel in panels(board):
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in list(Unit), panel["title"]
        refs = [target["refId"] for target in panel["targets"]]
        assert refs, panel["title"]
        assert len(set(refs)) == len(refs), panel["title"]


def test_every_unit_is_of_use() -> None:
    used = {panel["fieldConfig"]["defaults"]["unit"] for board in BOARDS.values() for panel in panels(board)}
    assert used == set(Unit)


def test_nothing_overlaps_and_nothing_leaves_the_grid(board: dict[str, Any]) -> None:
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] >= 0 <= place["y"]
        assert place["w"] > 0 < place["h"]
        assert place["x"] + place["w"] <= 24, panel["title"]
    for one, other in itertools.combinations(board["panels"], 2):
        a, b = one["gridPos"], other["gridPos"]
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        below = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert beside or below, f"{one['title']} and {other['title']}"


def test_data_source_is_a_variable(board: dict[str, Any]) -> None:
    assert [one["name"] for one in variables(board) if one["type"] == "datasource"] == ["datasource"]
    expected = {"type": "prometheus", "uid": "${datasource}"}
    for panel in panels(board):
        assert all(one["datasource"] == expected for one in (panel, *panel["targets"])), panel["title"]
    assert all(one["datasource"] == expected for one in variables(board) if one["type"] == "query")


def test_variables_are_declared_and_used(board: dict[str, Any]) -> None:
    names = [one["name"] for one in variables(board)]
    assert len(set(names)) == len(names)
    texts = [target["expr"] for panel in panels(board) for target in panel["targets"]]
    texts += [one["query"]["query"] for one in variables(board) if one["type"] == "query"]
    used = {name for text in texts for name in re.findall(r"\$\{?(\w+)", text)}
    assert used - OF_GRAFANA == set(names) - {"datasource"}


def test_selectors_are_bound_to_a_job_and_its_instances(query: Asked) -> None:
    found = list(selectors(query.expr))
    assert found, query.where
    for one in found:
        if one.name not in OF_ALL_JOBS:
            bound = re.match(r'job=~"\$(\w*)job", instance=~"\$(\w*)instance"(,|$)', one.matchers)
            assert bound, f"{query.where}: {one}"
            assert bound[1] == bound[2], query.where


def test_counters_are_seen_through_a_rate_and_windows_follow_the_interval(query: Asked) -> None:
    for one in selectors(query.expr):
        if COUNTERS.fullmatch(one.name):
            assert one.function in ("rate", "increase"), f"{query.where}: {one}"
        assert (one.function in ("rate", "increase")) == (one.window is not None), f"{query.where}: {one}"
        assert one.window is None or one.window in WINDOWS, query.where


def test_idle_gives_nothing_in_place_of_nan(query: Asked) -> None:
    for divisor in divisors(query.expr):
        assert divisor.endswith("> 0)"), f"{query.where}: {divisor}"
    quantiles = query.expr.count("histogram_quantile(")
    assert quantiles <= 1, query.where
    assert not quantiles or (query.expr.startswith("histogram_quantile(") and query.expr.endswith(" >= 0")), query.where


def test_sums_over_buckets_keep_their_bound(query: Asked) -> None:
    if "_bucket{" in query.expr and "le=" not in query.expr:
        assert re.search(r"sum by \((\w+, )*le(, \w+)*\) \((rate|increase)\(\w+_bucket\{", query.expr), query.where


def test_legends_use_labels_that_are_left(query: Asked) -> None:
    """Where an expression sums, only what it sums by can be in its legend. The live test looks at the series."""
    kept = re.search(r"^(?:histogram_quantile\([\d.]+, )?(?:sum|max|min|avg) by \(([^)]*)\)", query.expr)
    if kept and query.panel["type"] != "heatmap":
        assert set(legend_labels(query.target["legendFormat"])) <= set(kept[1].split(", ")), query.where
