"""Monitoring joins a site whose hosts meet over an ssh tunnel: the exporter is asked by the tunnel's second way."""

from __future__ import annotations

import json

import pytest
from watching import answering, api, targets

from nodes import Node
from operating import plain, run, unchanged
from tunnel import until

pytestmark = pytest.mark.timeout(900)
WITH = ["-e", json.dumps({"cerebrum_monitoring_enabled": True})]


def test_everything_is_asked_and_nothing_more_is_open(pi: Node, vps: Node) -> None:
    done = run("site.yml", *WITH)
    assert done.returncode == 0, done.stdout[-6000:]
    until(lambda: answering(pi, targets("pi")), "all that is asked")
    urls = {
        one["labels"]["job"]: one["scrapeUrl"]
        for one in api(pi, "targets?state=active")["activeTargets"]
        if one["labels"]["instance"] == "vps"
    }
    assert urls == {"inference": "http://127.0.0.1:9000/metrics", "node": "http://127.0.0.1:9300/metrics"}
    listening = [line.split()[3] for line in vps.host.check_output("ss -Htln").splitlines()]
    assert {address for address in listening if not address.startswith("127.")} <= {"0.0.0.0:22", "[::]:22"}
    assert "127.0.0.1:9100" in listening


def test_again_it_changes_nothing() -> None:
    done = run("site.yml", *WITH)
    assert done.returncode == 0, done.stdout[-6000:]
    assert unchanged(done), done.stdout[-3000:]


def test_doctor_tells_that_all_are_asked() -> None:
    done = run("playbooks/doctor.yml", *WITH)
    assert done.returncode == 0, done.stdout[-6000:]
    assert "pi monitoring 6 targets answer" in plain(done.stdout)
