from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.process import ServiceProcess, running

PROBE = [sys.executable, str(Path(__file__).parent / "probe_service.py")]


@pytest.fixture(scope="module")
def probe() -> Iterator[ServiceProcess]:
    """The probe service, one process for a module's tests."""
    with running(PROBE, {}) as service:
        yield service


@pytest.fixture
def own_probe() -> Iterator[ServiceProcess]:
    """The probe service, for a test that ends it."""
    with running(PROBE, {}) as service:
        yield service
