"""The rules in a real Prometheus, beside a real Alertmanager; and that the series they are made of exist."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from monitoring import files, rules
from support import alertmanager
from support.process import free_port
from support.prometheus import program
from support.repo import ROOT
from support.waiting import eventually

# Of role node_exporter's scripts and of node_exporter's own collectors; what a page of it has is not seen here.
HOSTS = re.compile(r"node_|cerebrum_(pi|sd|tailnet|certificate)_")
_NAME = re.compile(r"\b(?:cerebrum|node|prometheus|alertmanager|process)_[a-z0-9_]+\b")


def _ask(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of one that has the shipped rules and watches itself and an Alertmanager."""
    folder = tmp_path_factory.mktemp("prometheus")
    address = f"127.0.0.1:{free_port()}"
    with alertmanager.running(folder) as sender, (folder / "prometheus.log").open("wb") as out:
        jobs = {"prometheus": address, "alertmanager": sender.address}
        configuration = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [f"{ROOT / files.RULES}/*.yml"],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [sender.address]}]}]},
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": [target], "labels": {"instance": "pi"}}]}
                for job, target in jobs.items()
            ],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
        process = subprocess.Popen(
            [
                program("prometheus"),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address={address}",
            ],
            stdout=out,
            stderr=out,
        )
        try:
            eventually(lambda: _evaluated(f"http://{address}"), "all rules are evaluated", seconds=60)
            eventually(lambda: len(_pages(f"http://{address}")) == len(jobs), "it has what it scrapes", seconds=60)
            yield f"http://{address}"
        finally:
            process.terminate()
            process.wait(timeout=30)


def _pages(url: str) -> list[str]:
    """Where it scrapes, of targets that answered."""
    targets = json.loads(_ask(f"{url}/api/v1/targets"))["data"]["activeTargets"]
    return [target["scrapeUrl"] for target in targets if target["health"] == "up"]


def _groups(url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(_ask(f"{url}/api/v1/rules"))["data"]["groups"]
    return found


def _rules(url: str) -> list[dict[str, Any]]:
    return [rule for group in _groups(url) for rule in group["rules"]]


def _evaluated(url: str) -> bool:
    """Whether all have been, but for those of days, whose turn comes every two minutes: promtool has tried them."""
    try:
        groups = _groups(url)
    except OSError:
        return False
    quick = [rule for group in groups if group["interval"] == 1 for rule in group["rules"]]
    return bool(quick) and all(rule["health"] != "unknown" for rule in quick)


def test_prometheus_evaluates_every_rule(prometheus: str) -> None:
    found = _rules(prometheus)
    assert {rule["name"] for rule in found if rule["type"] == "alerting"} == set(rules.ALERTS)
    assert {rule["name"]: rule.get("lastError") for rule in found if rule["health"] == "err"} == {}


def test_on_a_system_that_is_well_only_the_watchdog_fires(prometheus: str) -> None:
    # Numbers to compare with come with the second evaluation.
    eventually(lambda: _active(prometheus) == ["Watchdog"], "the watchdog is alone")


def _active(url: str) -> list[str]:
    return [rule["name"] for rule in _rules(url) if rule.get("state") in ("firing", "pending")]


def test_thresholds_and_watchdogs_are_there_as_series(prometheus: str) -> None:
    found = json.loads(_ask(f"{prometheus}/api/v1/query?query=count({{__name__=~%22cerebrum:threshold:.*%22}})"))
    assert int(found["data"]["result"][0]["value"][1]) == len(rules.FILES["thresholds.yml"][1][0].rules)


def test_series_that_rules_are_made_of_exist(prometheus: str) -> None:
    described = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    ours = set(re.findall(r"`((?:cerebrum|process)_\w+)`", described))
    theirs = set(re.findall(r"(?m)^(\w+)[ {]", "\n".join(map(_ask, _pages(prometheus)))))
    used = {name for _, groups in rules.FILES.values() for group in groups for rule in group.rules
            for name in _NAME.findall(re.sub(r"cerebrum:[a-z_:0-9]+|\"[^\"]*\"", "", rule.expr))}  # fmt: skip
    assert used
    families = {re.sub(r"_(bucket|count|sum)$", "", name) if name not in ours | theirs else name for name in used}
    assert {name for name in families if not HOSTS.match(name)} <= ours | theirs
