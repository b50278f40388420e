from __future__ import annotations

from pathlib import Path

import pytest

MODELS = Path(__file__).resolve().parents[3] / "models"


@pytest.fixture(scope="session")
def shipped_model() -> Path:
    return MODELS / "cerebrum-tiny.gguf"
