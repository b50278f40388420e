"""The scenario's two hosts, as fixtures, and a look at one of them that takes its time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from testinfra.backend.base import CommandResult

from nodes import Node, each, pi, vps

__all__ = ["each", "pi", "vps"]
LYNIS = "apt-get install --quiet --yes --no-install-recommends lynis && lynis audit system --quick --no-colors"


@pytest.fixture(scope="session", autouse=True)
def lynis(vps: Node) -> Iterator[Future[CommandResult]]:
    """Lynis goes over a host while the first tests run; who changes what it looks at waits for it."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(vps.host.run, LYNIS)
