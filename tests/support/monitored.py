"""Both services under a bounded load, node_exporter, and the Prometheus that watches them: all of them real."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from cerebrum_kit.keys import key_line, new_key
from support.process import console_script
from support.repo import load
from support.system import LONG_CONTEXT, System, running_system
from support.waiting import eventually
from support.watching import Job, Prometheus, daemon, running_prometheus

# What a machine may not have, as the scripts of role node_exporter and the collectors of a Raspberry Pi write it.
_NOW = int(time.time())
HOST = f"""\
cerebrum_pi_throttled{{reason="undervoltage",when="now"}} 0
cerebrum_pi_throttled{{reason="undervoltage",when="since_boot"}} 1
cerebrum_sd_life_used_ratio{{device="mmcblk0"}} 0.1
cerebrum_tailnet_up 1
cerebrum_tailnet_key_expiry_timestamp_seconds {_NOW + 90 * 86400}
cerebrum_certificate_not_after_timestamp_seconds{{path="/etc/ssl/edge.pem"}} {_NOW + 60 * 86400}
node_thermal_zone_temp{{type="cpu-thermal",zone="0"}} 51.2
node_hwmon_temp_celsius{{chip="platform_coretemp_0",sensor="temp1"}} 48
node_systemd_unit_state{{name="cerebrum-edge@1.service",state="active",type="notify"}} 1
node_systemd_unit_state{{name="cerebrum-edge@1.service",state="failed",type="notify"}} 0
node_pressure_cpu_waiting_seconds_total {_NOW % 1000}
"""
_NOT_HERE = {"hwmon", "thermal_zone", "pressure"}
RULES = {
    "groups": [
        {
            "name": "always",
            "rules": [
                {"alert": "Watchdog", "expr": "vector(1)"},
                {"alert": "TriedOut", "expr": "vector(1)", "labels": {"severity": "ticket", "host": "pi"}},
            ],
        }
    ]
}
CODE = "\n".join(f"def step_{at}(left, right):\n    return left * {at} + right\n" for at in range(60))


@dataclass
class Monitored:
    """The system, and who watches it.

    Attributes:
        key_file: the edge's own key, which its clients and Prometheus present.
        inference_key_file: the same for the inference service.
        node: node_exporter's address.
        began: when Prometheus began to look; nothing was asked before that.
    """

    system: System
    prometheus: Prometheus
    alertmanager: str
    node: str
    key_file: Path
    inference_key_file: Path
    textfiles: Path
    began: float

    def page(self, address: str, key_file: Path | None = None) -> str:
        """A `/metrics` page."""
        headers = {"x-api-key": key_file.read_text(encoding="utf-8").strip()} if key_file else {}
        answer = httpx.get(f"http://{address}/metrics", headers=headers, timeout=30, trust_env=False)
        assert answer.status_code == 200, answer.text
        return answer.text

    def pages(self) -> dict[str, str]:
        """Of everything that is watched."""
        return {
            "edge": self.page(f"127.0.0.1:{self.system.edge.port}", self.key_file),
            "inference": self.page(f"127.0.0.1:{self.system.inference.port}", self.inference_key_file),
            "node": self.page(self.node),
            "prometheus": self.page(self.prometheus.url.removeprefix("http://")),
            "alertmanager": self.page(self.alertmanager),
        }

    @contextlib.contextmanager
    def edge(self) -> Iterator[httpx.Client]:
        """A client of the edge with its key."""
        key = self.key_file.read_text(encoding="utf-8").strip()
        with httpx.Client(
            base_url=self.system.edge.url, headers={"x-api-key": key}, timeout=60, trust_env=False
        ) as client:
            yield client

    def load(self) -> None:
        """A bit of everything: answers in every dialect, one condensed, one refused, one left, a wrong one, a probe."""
        with self.edge() as client:
            for path, body in _ANSWERED:
                answer = client.post(path, json=body)
                assert answer.status_code == 200, answer.text
            assert client.post("/v1/complete", json={"prompt": "x", "model": "gpt-9"}).status_code == 404
            assert httpx.get(f"{self.system.edge.url}/v1/models", trust_env=False).status_code == 401
            self._refuse_one_and_leave(client)
        self.probe()

    def _refuse_one_and_leave(self, client: httpx.Client) -> None:
        endless = {"prompt": "def f():", "max_tokens": LONG_CONTEXT, "temperature": 0}
        with client.stream("POST", "/v1/complete/stream", json=endless) as stream:
            lines = stream.iter_lines()  # without a name for it the stream would be left at once
            next(lines)
            waiting = threading.Thread(target=client.post, args=("/v1/complete",), kwargs={"json": _SHORT})
            waiting.start()  # takes the queue's only place, and is answered when the stream has been left
            with self.edge() as another:
                eventually(lambda: another.get("/v1/stats").json()["requests_waiting"] == 1, "one waits")
                assert another.post("/v1/complete", json=_SHORT).status_code == 503
        waiting.join(60)
        assert not waiting.is_alive()

    def probe(self) -> None:
        """One synthetic completion, whose outcome node_exporter tells."""
        words = ("--edge", self.system.edge.url, "--key-file", self.key_file)
        textfile = self.textfiles / "cerebrum_probe.prom"
        subprocess.run(
            [console_script("cerebrum"), "probe", *words, "--textfile", textfile], check=True, timeout=60, env={}
        )


_SHORT: dict[str, Any] = {"prompt": "def fibonacci(n):", "max_tokens": 24, "temperature": 0}
_CHAT = {"messages": [{"role": "user", "content": "def g(x):"}], "max_tokens": 12, "temperature": 0}
_ANSWERED: list[tuple[str, dict[str, Any]]] = [
    ("/v1/complete", _SHORT),
    ("/v1/complete/stream", _SHORT),
    ("/v1/chat/completions", _CHAT),
    ("/v1/completions", {"prompt": "def h(x):", "max_tokens": 4}),
    ("/v1/complete", {"prompt": f"Make step_17 async.\n\n```python\n{CODE}```\n", "max_tokens": 4}),
]


@contextlib.contextmanager
def monitored_system(folder: Path, **edge: str) -> Iterator[Monitored]:
    """All of it, running; nothing was asked yet, and Prometheus has looked at everything twice.

    Every job has two instances, which are the same process: expressions must not fall over the second one.

    Args:
        edge: settings of the edge, without their prefix.
    """
    key = new_key()
    (folder / "edge_keys").write_text(key_line("laptop", key) + "\n", encoding="utf-8")
    (folder / "edge_key").write_text(key + "\n", encoding="utf-8")
    textfiles = folder / "textfiles"
    textfiles.mkdir()
    (textfiles / "host.prom").write_text(HOST, encoding="utf-8")
    (folder / "alertmanager.yml").write_text("route: {receiver: none}\nreceivers: [{name: none}]\n", encoding="utf-8")
    settings = {"API_KEYS_FILE": str(folder / "edge_keys"), "MAX_INFLIGHT": "1", "MAX_QUEUE": "1", **edge}
    with (
        running_system(folder, edge=settings) as system,
        daemon(
            "prometheus-node-exporter",
            f"--collector.textfile.directory={textfiles}",
            *_collectors(),
            folder=folder,
        ) as node,
        daemon(
            "prometheus-alertmanager",
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'alertmanager'}",
            "--cluster.listen-address=",
            folder=folder,
        ) as alertmanager,
    ):
        jobs = [
            _job("edge", f"127.0.0.1:{system.edge.port}", "pi", folder / "edge_key"),
            _job("inference", f"127.0.0.1:{system.inference.port}", "vps", folder / "vps"),
            _job("node", node, "pi"),
            _job("alertmanager", alertmanager, "pi"),
        ]
        began = time.time()
        with running_prometheus(folder, jobs, alertmanager=alertmanager, rules=RULES) as prometheus:
            prometheus.wait_for_scrapes(2)
            yield Monitored(
                system, prometheus, alertmanager, node, folder / "edge_key", folder / "vps", textfiles, began
            )


def _collectors() -> list[str]:
    """What role node_exporter has it tell, and no more, without what comes from `HOST` here."""
    role = load("roles/node_exporter/vars/main.yml")
    plain = [word for word in role["node_exporter__arguments"] if "{{" not in word]
    return plain + [f"--collector.{name}" for name in role["node_exporter__collectors"] if name not in _NOT_HERE]


def _job(name: str, address: str, instance: str, key_file: Path | None = None) -> Job:
    return Job(name, {instance: address, f"{instance}2": address}, key_file)
