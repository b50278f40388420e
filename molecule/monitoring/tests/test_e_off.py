"""Monitoring that is switched off is gone, with all that it had."""

from __future__ import annotations

import pytest
from watching import play

from nodes import Node

# Plays take as long as the machine needs; a test that hangs is what this is for.
pytestmark = pytest.mark.timeout(900)
FOLDERS = "/etc/cerebrum/prometheus /etc/cerebrum/alertmanager /etc/cerebrum/monitoring /var/lib/cerebrum/prometheus"
FOLDERS += " /var/lib/cerebrum/alertmanager /opt/cerebrum/cli /opt/cerebrum/node-exporter"


def test_switched_off_it_is_gone(pi: Node, vps: Node) -> None:
    done = play("-e", "cerebrum_monitoring_enabled=false")
    assert done.returncode == 0, done.stdout[-4000:]
    for node in (pi, vps):
        assert node.host.run(f"ls -d {FOLDERS}").stdout == ""
        assert node.host.run("grep -rlE 'role (prometheus|alertmanager|node_exporter|probe)' /etc").stdout == ""
        assert node.host.run("pgrep -l prometheus").stdout == ""
        assert node.host.run("ls /var/lib/prometheus/node-exporter").stdout == ""
        units = node.host.check_output(
            "systemctl list-unit-files --no-legend --state=enabled 'prometheus*' 'cerebrum-*'"
        )
        assert "prometheus" not in units
        assert "probe" not in units
    assert "prometheus." not in vps.host.file("/etc/cerebrum/inference/api_keys").content_string
    assert "prometheus." not in pi.host.file("/etc/cerebrum/edge/client_keys").content_string
    assert "laptop" in pi.host.file("/etc/cerebrum/edge/client_keys").content_string
