"""What the scenario's tests share: the two hosts by name, and how to ask systemd and the journal."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import testinfra
from testinfra.host import Host

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Node:
    """A host and the service that it carries."""

    host: Host
    service: str
    port: int

    @property
    def address(self) -> str:
        return str(self.host.ansible.get_variables()["ansible_host"])

    @property
    def address6(self) -> str:
        addresses = self.host.interface("host0", family="inet6").addresses
        return next(str(one) for one in addresses if str(one).startswith("fdcb:"))  # not the link's own

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}"

    def instances(self) -> list[str]:
        """The active instance units of the service."""
        pattern = f"cerebrum-{self.service}@*.service"
        listed = self.host.check_output(f"systemctl list-units --plain --no-legend --state=active '{pattern}'")
        return [line.split()[0] for line in listed.splitlines()]

    def instance(self) -> str:
        found = self.instances()
        assert len(found) == 1, found
        return found[0]

    def journal(self, request_id: str, route: str) -> list[dict[str, Any]]:
        """The line that the running instance logs when a request is over, which is after its last byte."""
        give_up = time.monotonic() + 10
        while time.monotonic() < give_up:
            rows = [row for row in self._lines() if (row.get("request_id"), row.get("route")) == (request_id, route)]
            if rows:
                return rows
            time.sleep(0.2)
        return []

    def _lines(self) -> list[dict[str, Any]]:
        lines = self.host.check_output(f"journalctl --unit={self.instance()} --no-pager --output=cat").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


def node(name: str, service: str, port: int) -> Node:
    inventory = os.environ["MOLECULE_INVENTORY_FILE"]
    return Node(testinfra.get_host(f"ansible://{name}?ansible_inventory={inventory}"), service, port)


@pytest.fixture(scope="session")
def pi() -> Node:
    return node("pi", "edge", 7000)


@pytest.fixture(scope="session")
def vps() -> Node:
    return node("vps", "inference", 9000)


@pytest.fixture(scope="session")
def vps1() -> Node:
    return node("vps1", "inference", 9000)


@pytest.fixture(scope="session")
def vps2() -> Node:
    return node("vps2", "inference", 9000)


@pytest.fixture(scope="session")
def watch() -> Node:
    """A monitoring host of its own."""
    return node("watch", "monitoring", 9090)


@pytest.fixture(scope="session")
def vps3() -> Node:
    return node("vps3", "inference", 9000)


@pytest.fixture(scope="session")
def balancer() -> Node:
    return node("balancer", "haproxy", 9200)


@pytest.fixture(scope="session")
def outside() -> Node:
    """A host that is no part of Cerebrum."""
    return node("outside", "", 0)


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Writes a line into the output, where figures are found that no test asserts."""
    reporter = request.config.pluginmanager.getplugin("terminalreporter")
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def write(line: str) -> None:
        with capture.global_and_fixture_disabled():
            reporter.write_line(f"\n{line}")

    return write


@pytest.fixture(params=["pi", "vps"])
def each(request: pytest.FixtureRequest) -> Node:
    found: Node = request.getfixturevalue(request.param)
    return found
