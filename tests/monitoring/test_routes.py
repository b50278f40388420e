"""Who is told of what, by Debian's amtool; and what is held back, in a running Alertmanager."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitoring import routes, rules
from monitoring.model import Alert
from support import alertmanager
from support.prometheus import amtool
from support.waiting import eventually

_PI, _VPS = {"instance": "pi"}, {"instance": "vps"}


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return alertmanager.configuration(tmp_path_factory.mktemp("configuration"))


def test_amtool_takes_the_tree(configuration: Path) -> None:
    done = amtool("check-config", configuration)
    assert done.returncode == 0, done.stdout + done.stderr


def _receiver(configuration: Path, labels: dict[str, str], receiver: str) -> bool:
    words = [f"{name}={value}" for name, value in labels.items()]
    done = amtool(
        "config", "routes", "test", f"--config.file={configuration}", f"--verify.receivers={receiver}", *words
    )
    assert done.returncode in (0, 1), done.stderr
    return done.returncode == 0


@pytest.mark.parametrize("alert", rules.ALERTS.values(), ids=lambda alert: alert.name)
def test_every_alert_reaches_the_receiver_of_its_severity(alert: Alert, configuration: Path) -> None:
    labels = {"alertname": alert.name, "severity": alert.severity}
    wanted = "watchdog" if alert.name == "Watchdog" else alert.severity
    for receiver in routes.RECEIVERS:
        assert _receiver(configuration, labels, receiver) == (receiver == wanted)


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ({"alertname": "Mine", "severity": "page"}, "page"),
        ({"alertname": "Mine", "severity": "none"}, "none"),
        ({"alertname": "Mine", "severity": "catastrophe"}, "ticket"),
        ({"alertname": "Mine"}, "ticket"),
    ],
)
def test_alerts_of_others_are_lost_on_nobody(labels: dict[str, str], receiver: str, configuration: Path) -> None:
    assert _receiver(configuration, labels, receiver)


def _alert(name: str, **labels: str) -> dict[str, str]:
    rule = rules.ALERTS[name]
    fixed = {key: value for key, value in rule.labels.items() if "{{" not in value}
    return {"alertname": name, "severity": rule.severity, **fixed, **labels}


def _host_down(instance: str) -> dict[str, str]:
    return _alert("HostDown", instance=instance, backend=instance)


def _inference_down(instance: str) -> dict[str, str]:
    return _alert("InferenceDown", job="inference", instance=instance, backend=instance)


DISK = {"job": "node", **_VPS, "mountpoint": "/"}
INHIBITIONS = {
    "a host's services": (
        _host_down("vps"), _inference_down("vps"), True),
    "a host's exporter": (
        _host_down("vps"), _alert("TargetDown", job="node", **_VPS), True),
    "another host's": (
        _host_down("vps"), _alert("EdgeDown", job="edge", **_PI), False),
    "what an edge says of a host that is gone": (
        _host_down("vps"), _alert("BackendDown", job="edge", backend="vps", **_PI), True),
    "what it says of another": (
        _host_down("vps"), _alert("BackendDown", job="edge", backend="other", **_PI), False),
    "that an edge has no backend left": (
        _host_down("vps"), _alert("EdgeNotReady", job="edge", **_PI), False),
    "the breaker of a service that is gone": (
        _inference_down("vps"), _alert("BreakerOpen", job="edge", backend="vps", state="open", **_PI), True),
    "the slots of a service that is gone": (
        _inference_down("vps"), _alert("SlotsSaturated", job="inference", **_VPS), True),
    "the slots of another": (
        _inference_down("vps"), _alert("SlotsSaturated", job="inference", instance="other"), False),
    "the disk of its host": (
        _inference_down("vps"), _alert("DiskFull", **DISK), False),
    "what users notice": (
        _inference_down("vps"), _alert("AvailabilityBurnsFast"), False),
    "the queue of an edge that is gone": (
        _alert("EdgeDown", job="edge", **_PI), _alert("EdgeShedding", job="edge", **_PI), True),
    "the breaker of a backend that is not reached": (
        _alert("BackendDown", job="edge", backend="vps", **_PI),
        _alert("BreakerOpen", job="edge", backend="vps", state="open", **_PI), True),
    "the breaker of another backend": (
        _alert("BackendDown", job="edge", backend="other", **_PI),
        _alert("BreakerOpen", job="edge", backend="vps", state="open", **_PI), False),
    "the probe at an edge that cannot answer": (
        _alert("EdgeNotReady", job="edge", **_PI), _alert("ProbeFailing", job="node", **_PI), True),
    "the probe at an edge that is gone": (
        _alert("EdgeDown", job="edge", **_PI), _alert("ProbeFailing", job="node", **_PI), True),
    "the ticket of the same promise": (
        _alert("AvailabilityBurnsFast"), _alert("AvailabilityBurnsSlowly"), True),
    "the ticket of another promise": (
        _alert("AvailabilityBurnsFast"), _alert("FirstTokenBurnsSlowly"), False),
    "a disk that is almost full and full": (
        _alert("DiskFull", **DISK), _alert("DiskAlmostFull", **DISK), True),
    "a disk that fills and is almost full": (
        _alert("DiskAlmostFull", **DISK), _alert("DiskFilling", **DISK), True),
    "another disk": (
        _alert("DiskFull", **DISK), _alert("DiskAlmostFull", **{**DISK, "mountpoint": "/srv"}), False),
    "a certificate that has ended": (
        _alert("CertificateExpired", path="a.pem", job="node", **_PI),
        _alert("CertificateExpiring", path="a.pem", job="node", **_PI), True),
    "a tailnet's key": (
        _alert("TailnetDown", job="node", **_PI), _alert("TailnetKeyExpiring", job="node", **_PI), True),
    "what is for machines": (
        _host_down("pi"), _alert("Watchdog", **_PI), False),
}  # fmt: skip


@pytest.mark.parametrize("what", INHIBITIONS)
def test_alerts_that_follow_from_others_are_held_back(what: str, tmp_path: Path) -> None:
    greater, lesser, held = INHIBITIONS[what]
    # Alertmanager looks at them in their order: when the last pair's is held back, the others have been looked at.
    last = [_alert("ProbeBurnsFast"), _alert("ProbeBurnsSlowly")]
    with alertmanager.running(tmp_path) as started:
        started.post(lesser, greater, *last)
        eventually(lambda: started.held_back().get("ProbeBurnsSlowly"), "the last pair is held back")
        assert started.held_back() == {
            greater["alertname"]: False,
            lesser["alertname"]: held,
            "ProbeBurnsFast": False,
            "ProbeBurnsSlowly": True,
        }


def test_every_rule_of_inhibition_is_tried() -> None:
    """Each rule has a pair that it alone, or among others, holds back: its names are in the pairs above."""
    named = {
        name
        for greater, lesser, held in INHIBITIONS.values()
        if held
        for name in (greater["alertname"], lesser["alertname"])
    }
    for rule in routes.tree()["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            if matcher.startswith("alertname") and "!" not in matcher:
                assert set(matcher.split('"')[1].split("|")) <= named, matcher
