from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.monitored import Monitored, monitored_system


@pytest.fixture(scope="session")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    """Both services that have worked, and the Prometheus that saw it; shared, since it takes a while to start."""
    with monitored_system(tmp_path_factory.mktemp("monitored")) as system:
        system.load()
        system.prometheus.wait_for_scrapes()
        system.load()  # what the first round made known now has a rate
        system.prometheus.wait_for_scrapes(2)
        yield system
