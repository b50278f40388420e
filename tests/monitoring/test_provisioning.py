"""What role grafana tells Grafana of its data source and of the dashboards, beside what the dashboards want."""

from __future__ import annotations

import re
from typing import Any

import jinja2
import pytest
import yaml

from support.boards import FOLDER, boards, variables
from support.repo import ROOT, load

ROLE = ROOT / "roles" / "grafana"


def rendered(name: str) -> Any:
    """A template of the role, with the role's own variables."""
    known = {**load("roles/grafana/defaults/main.yml"), **load("roles/grafana/vars/main.yml")}
    plain = {key: value for key, value in known.items() if "{{" not in str(value)}
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701  # YAML, not HTML
    return yaml.safe_load(
        environment.from_string((ROLE / "templates" / name).read_text(encoding="utf-8")).render(plain)
    )


@pytest.fixture(scope="module")
def source() -> dict[str, Any]:
    (only,) = rendered("datasource.yml.j2")["datasources"]
    found: dict[str, Any] = only
    return found


def test_the_data_source_is_what_the_variable_finds_by_itself(source: dict[str, Any]) -> None:
    for board in boards().values():
        (variable,) = (one for one in variables(board) if one["type"] == "datasource")
        assert source["type"] == variable["query"]
    assert source["isDefault"] is True
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", source["uid"])


def test_rates_are_over_as_long_as_scrapes_take(source: dict[str, Any]) -> None:
    """$__rate_interval is made from the interval that the data source is told: it must be the one that is kept."""
    prometheus = (ROOT / "roles/prometheus/templates/prometheus.yml.j2").read_text(encoding="utf-8")
    kept = re.search(r"^  scrape_interval: (\S+)$", prometheus, re.MULTILINE)
    assert kept
    assert source["jsonData"]["timeInterval"] == kept[1]


def test_dashboards_are_looked_for_where_they_are_put() -> None:
    (provider,) = rendered("dashboards.yml.j2")["providers"]
    assert provider["type"] == "file"
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", provider["folderUid"])
    assert provider["folderUid"] not in {board["uid"] for board in boards().values()}
    assert provider["options"]["path"] == f"{load('roles/grafana/vars/main.yml')['grafana__folder']}/dashboards"
    tasks = (ROLE / "tasks" / "install.yml").read_text(encoding="utf-8")
    assert "grafana__folder ~ '/dashboards/' ~ path | basename" in tasks
    assert load("roles/grafana/vars/main.yml")["grafana__boards"].count("/files/dashboards/*.json") == 1
    assert FOLDER == ROLE / "files" / "dashboards"
    assert len(boards()) == 4
