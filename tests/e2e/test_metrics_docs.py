"""docs/metrics.md names every family of the live pages, as it is, and none that is not there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from cerebrum_kit.keys import key_line, new_key
from support.process import console_script, running
from support.repo import ROOT
from support.system import System, edge_environment

Row = tuple[str, str, frozenset[str]]
_ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| ([^|]*)\| .+ \|$", re.MULTILINE)


def documented(*headings: str) -> list[Row]:
    """Name, type and labels, of the tables under these headings."""
    parts = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8").split("\n## ")
    found = "\n".join(part for part in parts if part.partition("\n")[0] in headings)
    return [
        (name, kind, frozenset(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels in _ROW.findall(found)
        if kind in ("counter", "gauge", "histogram")
    ]


def told(text: str) -> set[Row]:
    """The same of a page. Every family must have a sample there, or its labels would not be known."""
    kinds = dict(line.split()[2:4] for line in text.splitlines() if line.startswith("# TYPE "))
    labels: dict[str, frozenset[str]] = {}
    for family in text_string_to_metric_families(text):
        for row in family.samples:
            name = row.name if row.name in kinds else re.sub(r"_(bucket|sum|count)$", "", row.name)
            labels[name] = frozenset(row.labels) - {"le"}
    return {(name, kind, labels[name]) for name, kind in kinds.items()}


def compare(text: str, *headings: str) -> None:
    rows = documented(*headings)
    assert len(rows) == len(set(rows)), "no family stands twice"
    assert set(rows) == told(text)


@pytest.fixture(scope="module")
def probed(system: System, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The page of an edge with keys, and the file of a probe that asked it."""
    folder: Path = tmp_path_factory.mktemp("probed")
    key = new_key()
    (folder / "keys").write_text(key_line("home", key) + "\n", encoding="utf-8")
    (folder / "key").write_text(key + "\n", encoding="utf-8")
    (folder / "vps").write_text(system.key + "\n", encoding="utf-8")
    settings = edge_environment(system.inference.url, key_file=folder / "vps", API_KEYS_FILE=str(folder / "keys"))
    with running([console_script("cerebrum-edge")], settings) as edge:
        words = ("probe", "--edge", edge.url, "--key-file", folder / "key", "--textfile", folder / "probe.prom")
        subprocess.run([console_script("cerebrum"), *words], check=True, timeout=60)
        page = httpx.get(f"{edge.url}/metrics", headers={"x-api-key": key}, trust_env=False)
    assert page.status_code == 200
    return page.text, (folder / "probe.prom").read_text(encoding="utf-8")


def test_edge(probed: tuple[str, str]) -> None:
    compare(probed[0], "Edge", "Both services, of their process")


def test_inference(system: System, probed: tuple[str, str]) -> None:
    compare(system.ask("/metrics").text, "Inference", "Both services, of their process")


def test_probe(probed: tuple[str, str]) -> None:
    compare(probed[1], "Probe")
