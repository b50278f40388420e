from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.system import System, running_system


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Both services, shared by a module's tests."""
    with running_system(tmp_path_factory.mktemp("system")) as both:
        yield both


@pytest.fixture
def own_system(tmp_path: Path) -> Iterator[System]:
    """Both services, for a test that breaks them."""
    with running_system(tmp_path) as both:
        yield both
