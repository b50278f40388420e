from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.exact_model import exact_arithmetic, write_exact_model

MODELS = Path(__file__).resolve().parents[3] / "models"


@pytest.fixture(scope="session")
def shipped_model() -> Path:
    return MODELS / "cerebrum-tiny.gguf"


@pytest.fixture(scope="session")
def exact_file(shipped_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_exact_model(shipped_model, tmp_path_factory.mktemp("models") / "exact.gguf")


@pytest.fixture(scope="module")
def exact_model(exact_file: Path) -> Iterator[Path]:
    """The same model, and for this module arithmetic, for texts that must not depend on what is computed beside."""
    with exact_arithmetic():
        yield exact_file
