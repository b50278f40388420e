"""Faults of monitoring/faults.py, caused: each alert that is expected reaches the receiver, and is resolved afterwards.

Rules' times are a tenth of those that people have, and Alertmanager's waits a fiftieth (test_b_configuration.py). How
long it took is told and never asserted.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import pytest
from watching import SCALE, WAITS, heard, listen, told, until

from monitoring.faults import FAULTS, Expected
from nodes import Node

# Alerts are waited for as long as they need; a test that hangs is what this is for.
pytestmark = pytest.mark.timeout(1800)
BY_ID = {fault.id: fault for fault in FAULTS}
PATIENCE = 600.0
WANTED = "/etc/systemd/system/multi-user.target.wants"
KEYS = "/etc/cerebrum/inference/api_keys"
TEXTFILES = "/var/lib/prometheus/node-exporter"
CONFIGURATION = "/etc/cerebrum/prometheus/current/prometheus.yml"
SMALL = "/srv/small"  # a file system that is full takes nothing from the machine that the lab is on
STORE = "/var/lib/cerebrum/models"


@dataclass(frozen=True)
class How:
    """On which host, and by which commands, a fault begins and ends."""

    on: str
    begin: str
    end: str


def stop(service: str) -> str:
    return f"systemctl stop cerebrum-{service}.socket 'cerebrum-{service}@*'"


def start(service: str) -> str:
    return f"systemctl start cerebrum-{service}.socket $(ls {WANTED} | grep '^cerebrum-{service}@')"


# Many more at once than there are places, with a key that the edge admits. That most are refused is what is wanted.
HERD = """
import json, threading, urllib.error, urllib.request
key = open("/etc/cerebrum/monitoring/keys/edge.pi").read().strip()
body = json.dumps({"prompt": "def f(", "max_tokens": 200}).encode()
head = {"content-type": "application/json", "x-api-key": key}
request = urllib.request.Request("http://127.0.0.1:7000/v1/complete", body, head)
def ask():
    try:
        urllib.request.urlopen(request, timeout=60).read()
    except urllib.error.HTTPError as error:
        assert error.code == 503, error
clients = [threading.Thread(target=ask) for _ in range(100)]
for one in clients:
    one.start()
for one in clients:
    one.join()
"""
FREEZE = "while true; do systemctl kill --kill-who=main --signal=SIGSTOP 'cerebrum-inference@*'; sleep 1; done"

ALONE = {
    "inference-stopped": How("vps", stop("inference"), start("inference")),
    "inference-frozen": How(
        "vps",
        f"systemd-run --quiet --unit=freezer sh -c {shlex.quote(FREEZE)}",
        "systemctl stop freezer; systemctl kill --kill-who=main --signal=SIGCONT 'cerebrum-inference@*'; "
        f"systemctl reset-failed 'cerebrum-inference@*'; {start('inference')}",
    ),
    "herd": How("pi", f"python3 -c {shlex.quote(HERD)}", "true"),
    "edge-stopped": How("pi", stop("edge"), start("edge")),
    "key-revoked": How(
        "vps",
        f"cp -p {KEYS} /root/kept && sed -i '/^pi[.]/d' {KEYS}",
        f"cat /root/kept > {KEYS}",
    ),
    "exporter-stopped": How(
        "vps", "systemctl stop prometheus-node-exporter", "systemctl start prometheus-node-exporter"
    ),
    "configuration-refused": How(
        "pi",
        f"echo 'nonsense: 1' >> {CONFIGURATION}; systemctl reload prometheus",
        f"sed -i '/^nonsense/d' {CONFIGURATION}; systemctl reload prometheus",
    ),
}
# None of these hides another: they are caused at once.
TOGETHER = {
    "disk-full": How(
        "vps",
        f"mkdir -p {SMALL} && mount -t tmpfs -o size=32M small {SMALL} && fallocate -l 33M {SMALL}/full; "
        f"head -c 33M /dev/zero > {SMALL}/full; true",
        f"umount {SMALL}",
    ),
    "model-missing": How(
        "vps",
        f"cd {STORE} && for file in *.gguf; do mv $file $file.away; done",
        f"cd {STORE} && for file in *.away; do mv $file ${{file%.away}}; done",
    ),
    "unit-failed": How(
        "vps", "systemd-run --quiet --unit cerebrum-fault false; true", "systemctl reset-failed cerebrum-fault"
    ),
    "key-old": How(
        "vps",
        f"echo 'ancient {'0' * 64} 2020-01-01T00:00:00Z' >> {KEYS}",
        f"sed -i '/^ancient /d' {KEYS}",
    ),
    "textfile-stale": How(
        "vps",
        f"echo 'fault 1' > {TEXTFILES}/fault.prom; touch -d '3 hours ago' {TEXTFILES}/fault.prom",
        f"rm {TEXTFILES}/fault.prom",
    ),
    "undervoltage": How(
        "pi",
        f'echo \'cerebrum_pi_throttled{{reason="undervoltage",when="now"}} 1\' > {TEXTFILES}/fault.prom',
        f"rm {TEXTFILES}/fault.prom",
    ),
}

LEFT = {
    "host-gone": "scenario machines has hosts that are gone; here both hosts are needed to look",
    "edge-crashing": "four kills and half an hour",
    "probe-failing": "the probe's round is five minutes",
    "probe-stopped": "the probe is missed after a quarter of an hour",
    "alertmanager-stopped": "nothing can be told then",
}


def labels(expected: Expected) -> dict[str, str]:
    names = {"edge": "pi", "inference": "vps", "monitoring": "pi"}
    job = {"job": expected.job} if expected.job else {}
    return {"alertname": expected.alert, "instance": names[expected.on], **job, **expected.labels}


@pytest.fixture(scope="module", autouse=True)
def receiver(pi: Node) -> Iterator[None]:
    listen(pi)
    yield
    pi.host.check_output("systemctl stop receiver")


def test_every_fault_is_caused_or_left_for_a_reason() -> None:
    assert {*ALONE, *TOGETHER, *LEFT} == set(BY_ID)


def test_the_watchdog_is_heard_with_the_receiver_s_token(pi: Node) -> None:
    until(lambda: heard(pi, {"alertname": "Watchdog"}, "firing", 0), "the watchdog", seconds=PATIENCE)
    assert {row["by"] for row in told(pi)} == {"Bearer token-of-the-scenario"}


@pytest.mark.parametrize("ids", [*[(one,) for one in ALONE], tuple(TOGETHER)], ids=lambda ids: "+".join(ids))
def test_a_fault_is_told_and_its_end_too(
    ids: tuple[str, ...], pi: Node, vps: Node, tell: Callable[[str], None]
) -> None:
    nodes, ways = {"pi": pi, "vps": vps}, {one: {**ALONE, **TOGETHER}[one] for one in ids}
    expected = [(one, alert) for one in ids for alert in BY_ID[one].expected]
    began: dict[str, float] = {}
    try:
        for one, how in ways.items():
            began[one] = float(pi.host.check_output("date +%s.%N"))
            nodes[how.on].host.check_output(how.begin)
        for one, alert in expected:
            at = until(partial(heard, pi, labels(alert), "firing", began[one]), f"{one}: {alert}", seconds=PATIENCE)
            reckoned = BY_ID[one].told_within(alert, SCALE, WAITS)
            tell(f"{one}: {alert.alert} after {at - began[one]:.0f} s (reckoned: {reckoned} s)")
    finally:
        mended = float(pi.host.check_output("date +%s.%N"))
        for one in began:
            nodes[ways[one].on].host.check_output(ways[one].end)
    for one, alert in expected:
        at = until(partial(heard, pi, labels(alert), "resolved", mended), f"{one}: {alert} ends", seconds=PATIENCE)
        tell(f"{one}: {alert.alert} resolved after {at - mended:.0f} s")
