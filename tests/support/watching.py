"""Debian's Prometheus, Alertmanager and node_exporter as processes on loopback, and Prometheus' API."""

from __future__ import annotations

import contextlib
import functools
import json
import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import yaml

from support.prometheus import program
from support.waiting import eventually

_LISTENS = re.compile(r'msg="Listening on" address=(\S+)')


@contextlib.contextmanager
def daemon(name: str, *words: str | Path, folder: Path) -> Iterator[str]:
    """Starts it on a port that the kernel chooses and waits until it listens.

    Returns:
        its address, HOST:PORT.
    """
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program(name), "--web.listen-address=127.0.0.1:0", *words], cwd=folder, stdout=output, stderr=output
        )

    def address() -> str | None:
        assert process.poll() is None, log.read_text(encoding="utf-8")
        found = _LISTENS.search(log.read_text(encoding="utf-8"))
        return found[1] if found else None

    try:
        eventually(address, f"{name} listens")
        yield str(address())
    finally:
        process.kill()
        process.wait(10)


@dataclass(frozen=True)
class Job:
    """What is scraped under a name.

    Attributes:
        instances: addresses by the name that the host has.
    """

    name: str
    instances: Mapping[str, str]
    key_file: Path | None = None


class Prometheus:
    """One that is running; `url` is its address."""

    def __init__(self, address: str) -> None:
        self.url = f"http://{address}"
        self._client = httpx.Client(base_url=f"{self.url}/api/v1", timeout=30, trust_env=False)

    def close(self) -> None:
        self._client.close()

    def get(self, path: str, **params: Any) -> Any:
        answer = self._client.get(path, params=params)
        found = answer.json()
        assert found["status"] == "success", found
        return found["data"]

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The vector of an expression, now."""
        data = self.get("/query", query=expr)
        assert data["resultType"] == "vector", data
        return list(data["result"])

    def history(self, expr: str, start: float, end: float) -> list[dict[str, Any]]:
        return list(self.get("/query_range", query=expr, start=start, end=end, step=1)["result"])

    def label_values(self, label: str, selector: str) -> list[str]:
        return list(self.get(f"/label/{label}/values", **{"match[]": selector}))

    def wait_for_scrapes(self, count: int = 1) -> None:
        """Until every target was scraped so many times from now on, well."""
        for _ in range(count):
            eventually(functools.partial(self._scraped_since, time.time()), "every target is scraped and answers")

    def targets(self, job: str | None = None) -> list[dict[str, Any]]:
        every = self.get("/targets", state="active")["activeTargets"]
        return [one for one in every if job in (None, one["labels"]["job"])]

    def _scraped_since(self, moment: float) -> bool:
        targets = self.targets()
        return bool(targets) and all(one["health"] == "up" and _seconds(one["lastScrape"]) > moment for one in targets)


def _seconds(stamp: str) -> float:
    """Of an RFC 3339 time with nanoseconds, which Python's own reader does not take."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", stamp)).timestamp()


@contextlib.contextmanager
def running_prometheus(
    folder: Path, jobs: Sequence[Job], *, alertmanager: str | None = None, rules: Mapping[str, Any] | None = None
) -> Iterator[Prometheus]:
    """Prometheus, which scrapes the jobs and itself every second."""
    own = folder / "prometheus.json"
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "scrape_configs": [*map(_scrape, jobs), {"job_name": "prometheus", "file_sd_configs": [{"files": [str(own)]}]}],
        "rule_files": ["rules.yml"] if rules else [],
    }
    if alertmanager:
        config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
    (folder / "rules.yml").write_text(yaml.safe_dump(rules or {}), encoding="utf-8")
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    words = (f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}")
    with daemon("prometheus", *words, folder=folder) as address:
        prometheus = Prometheus(address)
        # It learns its own address, which it chose itself, by a file that it watches.
        own.write_text(json.dumps([{"targets": [address], "labels": {"instance": "pi"}}]), encoding="utf-8")
        try:
            eventually(lambda: httpx.get(f"{prometheus.url}/-/ready", trust_env=False).status_code == 200, "ready")
            eventually(lambda: prometheus.targets("prometheus"), "it watches itself")
            yield prometheus
        finally:
            prometheus.close()


def _scrape(job: Job) -> dict[str, Any]:
    config: dict[str, Any] = {
        "job_name": job.name,
        "static_configs": [
            {"targets": [address], "labels": {"instance": instance}} for instance, address in job.instances.items()
        ],
    }
    if job.key_file:
        config["authorization"] = {"credentials_file": str(job.key_file)}
    return config
