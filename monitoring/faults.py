"""What goes wrong, and who notices: each fault with the series that shows it, the alerts that must come, and when.

It is a page for people (docs/monitoring-faults.md) and the data of scenario `monitoring`, which causes the faults on
real hosts and waits for the alerts at a receiver.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from monitoring.durations import EVALUATION_SECONDS, SCRAPE_SECONDS, seconds
from monitoring.routes import wait_of
from monitoring.rules import ALERTS

Host = Literal["edge", "inference", "monitoring"]


@dataclass(frozen=True, slots=True)
class Expected:
    """An alert that reaches its receiver.

    Attributes:
        job: its label, or None where the alert is not one target's.
        on: whose name its label `instance` is: the first host of that group.
        labels: others that it carries.
    """

    alert: str
    on: Host
    job: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault.

    Attributes:
        cause: how it is brought about.
        shows: the series that shows it.
        expected: what is told.
        held_back: what may fire besides and is not told once the others are there.
        lag: seconds until the series shows the fault, scraping aside.
        ends: what makes it good.
    """

    id: str
    title: str
    cause: str
    shows: str
    expected: tuple[Expected, ...]
    ends: str
    held_back: tuple[str, ...] = ()
    lag: int = 0

    def fires_within(self, expected: Expected, scale: float = 1) -> int:
        """Seconds until the alert fires: seen by a scrape and an evaluation, lasting, and seen again."""
        lasting = seconds(ALERTS[expected.alert].lasting) * scale
        return round(self.lag + SCRAPE_SECONDS + 2 * EVALUATION_SECONDS + lasting)

    def told_within(self, expected: Expected, scale: float = 1, waits: float = 1) -> int:
        """Seconds until its receiver has it; rules' times and Alertmanager's waits are multiplied."""
        return round(self.fires_within(expected, scale) + seconds(wait_of(ALERTS[expected.alert].severity)) * waits)


_SCRAPE_TIMEOUT = 10
_EDGE_ASKS = 10  # an edge asks its backends for their models this often
_PROBE_ROUND = 300
_NOT_READY = Expected("EdgeNotReady", "edge", "edge")
_INFERENCE_DOWN = Expected("InferenceDown", "inference", "inference")
_FOLLOWS = ("BackendDown", "BreakerOpen", "ProbeFailing")

FAULTS = (
    Fault(
        "inference-stopped",
        "The inference service is stopped",
        "`systemctl stop cerebrum-inference.socket 'cerebrum-inference@*'` on the only inference host",
        '`up{job="inference"}`, `cerebrum_edge_ready`',
        (_INFERENCE_DOWN, _NOT_READY),
        "the socket and the instance are started",
        _FOLLOWS,
        lag=_EDGE_ASKS,
    ),
    Fault(
        "inference-frozen",
        "The inference service hangs",
        "SIGSTOP for its main process, and again for the one that systemd's watchdog brings in its place",
        '`up{job="inference"}`, `cerebrum_edge_ready`',
        (_INFERENCE_DOWN, _NOT_READY),
        "SIGCONT, or nothing: the watchdog ends what hangs after 30 s",
        _FOLLOWS,
        lag=_SCRAPE_TIMEOUT + 3 * _EDGE_ASKS,
    ),
    Fault(
        "host-gone",
        "The inference host is gone",
        "its power is cut, or its network",
        "`up` of all that runs there",
        (Expected("HostDown", "inference"), _NOT_READY),
        "it is started again",
        ("InferenceDown", "TargetDown", *_FOLLOWS),
        lag=_SCRAPE_TIMEOUT + _EDGE_ASKS,
    ),
    Fault(
        "key-revoked",
        "The edge's key is revoked",
        "its line is taken from `/etc/cerebrum/inference/api_keys`",
        '`cerebrum_inference_http_requests_total{status="401"}`, `cerebrum_edge_ready`',
        (Expected("KeyRefused", "inference", "inference"), _NOT_READY),
        "the line is put back, or site.yml is run",
        ("ProbeFailing",),
        lag=5 * _EDGE_ASKS,  # the first refusal makes the series, and three more are wanted
    ),
    Fault(
        "herd",
        "More ask at once than there are places",
        "ten times `edge_max_inflight` plus `edge_max_queue` requests at once",
        "`cerebrum_edge_shed_total`",
        (Expected("EdgeShedding", "edge", "edge"),),
        "they stop, and ten minutes pass",
        ("AvailabilityBurnsFast",),
    ),
    Fault(
        "edge-stopped",
        "The edge is stopped",
        "`systemctl stop cerebrum-edge.socket 'cerebrum-edge@*'`",
        '`up{job="edge"}`',
        (Expected("EdgeDown", "edge", "edge"),),
        "the socket and the instance are started",
        ("ProbeFailing",),
    ),
    Fault(
        "edge-crashing",
        "The edge is killed again and again",
        "SIGKILL for its main process, four times, 30 s apart; systemd starts it again after two seconds",
        "`process_start_time_seconds`",
        (Expected("RestartLoop", "edge", "edge"),),
        "it is left alone, and half an hour passes",
        lag=120,
    ),
    Fault(
        "probe-failing",
        "The probe's requests are refused",
        "the probe's key file gets other digits",
        "`cerebrum_probe_success`",
        (Expected("ProbeFailing", "monitoring", "node"),),
        "the key is put back and the probe runs once",
        ("ProbeBurnsFast",),
        lag=_PROBE_ROUND,
    ),
    Fault(
        "probe-stopped",
        "The probe does not run any more",
        "its timer is stopped",
        "`cerebrum_probe_last_run_timestamp_seconds`",
        (Expected("ProbeStale", "monitoring", "node"),),
        "the timer is started",
        lag=900,
    ),
    Fault(
        "disk-full",
        "A disk is full",
        "`fallocate` takes all but 2 % of a file system",
        "`node_filesystem_avail_bytes`",
        (Expected("DiskFull", "inference", "node"),),
        "the file is removed",
        ("DiskAlmostFull", "DiskFilling"),
    ),
    Fault(
        "model-missing",
        "A model's file is gone",
        "its file in `/var/lib/cerebrum/models` is renamed",
        "`cerebrum_inference_model_available`",
        (Expected("ModelMissing", "inference", "inference"),),
        "it gets its name back, or site.yml is run",
    ),
    Fault(
        "exporter-stopped",
        "A host's exporter is stopped",
        "`systemctl stop prometheus-node-exporter` on a host whose services run",
        '`up{job="node"}`',
        (Expected("TargetDown", "inference", "node"),),
        "it is started",
    ),
    Fault(
        "unit-failed",
        "A unit of Cerebrum's fails",
        "`systemd-run --unit cerebrum-fault false`",
        '`node_systemd_unit_state{state="failed"}`',
        (Expected("UnitFailed", "inference", "node", {"name": "cerebrum-fault.service"}),),
        "`systemctl reset-failed cerebrum-fault`",
    ),
    Fault(
        "key-old",
        "A key is old",
        "a line with a creation time of years ago is added to `/etc/cerebrum/inference/api_keys`",
        "`cerebrum_inference_key_created_timestamp_seconds`",
        (Expected("KeyOld", "inference", "inference"),),
        "the line is removed",
    ),
    Fault(
        "textfile-stale",
        "A script that writes a textfile stopped long ago",
        "a file in `/var/lib/prometheus/node-exporter` gets an old time (`touch -d '3 hours ago'`)",
        "`node_textfile_mtime_seconds`",
        (Expected("TextfileStale", "inference", "node"),),
        "it is written again, or removed",
    ),
    Fault(
        "undervoltage",
        "A Pi's power supply is weak",
        "the textfile of a host that is no Pi says what a Pi's would",
        '`cerebrum_pi_throttled{reason="undervoltage",when="now"}`',
        (Expected("PiThrottled", "edge", "node", {"reason": "undervoltage"}),),
        "the textfile is removed",
        ("PiUndervoltage",),
    ),
    Fault(
        "configuration-refused",
        "Prometheus refuses its configuration",
        "a line that it does not know is added to `prometheus.yml`, and it is reloaded",
        "`prometheus_config_last_reload_successful`",
        (Expected("PrometheusReloadFailed", "monitoring", "prometheus"),),
        "the line is removed, and it is reloaded",
    ),
    Fault(
        "alertmanager-stopped",
        "Alertmanager is stopped",
        "`systemctl stop prometheus-alertmanager`",
        "nothing that could be told: the receiver of `Watchdog` hears no more of it",
        (),
        "it is started",
        ("NotificationsFailing", "TargetDown"),
    ),
)
