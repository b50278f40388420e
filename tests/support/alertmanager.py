"""Debian's Alertmanager with the shipped tree, as a program on loopback: post alerts, see what became of them."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from monitoring.files import TREE
from monitoring.routes import RECEIVERS
from support import playbooks
from support.process import free_port
from support.prometheus import program
from support.repo import ROOT
from support.waiting import eventually


def configuration(folder: Path) -> Path:
    """The shipped tree with receivers that tell nobody."""
    tree = yaml.safe_load((ROOT / TREE).read_text(encoding="utf-8"))
    path = folder / "alertmanager.yml"
    path.write_text(yaml.safe_dump({**tree, "receivers": [{"name": name} for name in RECEIVERS]}), encoding="utf-8")
    return path


def written(folder: Path, receivers: list[dict[str, Any]], **values: object) -> str:
    """The configuration that role alertmanager writes for these, by its own template, into a folder's `out.yml`."""
    template = ROOT / "roles/alertmanager/templates/alertmanager.yml.j2"
    write = {"src": str(template), "dest": str(folder / "out.yml"), "mode": "0600"}
    play = {
        "name": "It is written", "hosts": "localhost", "connection": "local", "gather_facts": False,
        "vars_files": [str(ROOT / f"roles/alertmanager/{name}/main.yml") for name in ("defaults", "vars")],
        "tasks": [{"name": "Template", "ansible.builtin.template": write}],
    }  # fmt: skip
    values |= {"role_path": str(ROOT / "roles/alertmanager"), "alertmanager_receivers": receivers}
    (folder / "play.yml").write_text(yaml.safe_dump([play]), encoding="utf-8")
    done = playbooks.play(folder / "play.yml", "-e", json.dumps(values), inventory="localhost,")
    assert done.returncode == 0, done.stdout
    return (folder / "out.yml").read_text(encoding="utf-8")


class Alertmanager:
    def __init__(self, address: str) -> None:
        self.address = address
        self._alerts = f"http://{address}/api/v2/alerts"
        self._ready = f"http://{address}/-/ready"

    def is_ready(self) -> bool:
        try:
            return bool(_ask(self._ready) == "OK")
        except (urllib.error.URLError, ConnectionError):
            return False

    def post(self, *labels: Mapping[str, str]) -> None:
        """Alerts that fire from now on, as Prometheus sends them."""
        ends = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=10)).isoformat()
        _ask(self._alerts, json.dumps([{"labels": dict(one), "endsAt": ends} for one in labels]))

    def held_back(self) -> dict[str, bool]:
        """For each alert that is there, by its name, whether others hold it back."""
        return {
            one["labels"]["alertname"]: bool(one["status"]["inhibitedBy"]) for one in json.loads(_ask(self._alerts))
        }


@contextlib.contextmanager
def running(folder: Path, configured: Path | None = None, **environment: str) -> Iterator[Alertmanager]:
    """Alertmanager with a configuration, or with the shipped tree and nobody to tell."""
    address = f"127.0.0.1:{free_port()}"
    log = folder / "alertmanager.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [
                program("prometheus-alertmanager"),
                f"--config.file={configured or configuration(folder)}",
                f"--storage.path={folder / 'data'}",
                f"--web.listen-address={address}",
                "--cluster.listen-address=",
            ],
            env={**os.environ, **environment},
            stdout=out,
            stderr=out,
        )
        try:
            alertmanager = Alertmanager(address)
            eventually(alertmanager.is_ready, "alertmanager is ready")
            yield alertmanager
        finally:
            process.terminate()
            process.wait(timeout=30)


def _ask(url: str, body: str | None = None) -> Any:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, None if body is None else body.encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()
