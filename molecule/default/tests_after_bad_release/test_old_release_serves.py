"""What ran before still runs, alone, and the release that failed has left nothing."""

from __future__ import annotations

import httpx

from nodes import Node


def test_old_instance_serves(pi: Node) -> None:
    facts = httpx.get(f"{pi.url}/health", trust_env=False).json()
    assert facts["status"] == "ok"
    assert pi.instance() == f"cerebrum-edge@{facts['release']}.service"
    answer = httpx.post(
        f"{pi.url}/v1/complete", json={"prompt": "import ", "max_tokens": 4}, timeout=30, trust_env=False
    )
    assert answer.status_code == 200
    assert answer.json()["total_tokens"] == 4


def test_failed_instance_left_nothing(pi: Node) -> None:
    instance = pi.instance().removeprefix("cerebrum-edge@").removesuffix(".service")
    assert pi.host.check_output("systemctl list-units --failed --no-legend") == ""
    units = pi.host.check_output("ls /etc/systemd/system | grep cerebrum-edge@").splitlines()
    assert units == [f"cerebrum-edge@{instance}.service"]
    settings = pi.host.check_output("ls /etc/cerebrum/edge | grep env").splitlines()
    assert settings == [f"{instance}.env"]
    assert instance in pi.host.file("/etc/systemd/system/cerebrum-edge.socket").content_string
