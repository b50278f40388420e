"""How many layers a GPU gets: from the settings to llama.cpp's own parameters. No GPU is needed to be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as api
import pytest

from cerebrum_inference.gguf.process import _ENVIRONMENT
from cerebrum_inference.llama import trial
from support.engine import serving


@pytest.fixture
def layers(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What llama.cpp is told at each load; it loads all the same."""
    told: list[int] = []
    load = api.llama_model_load_from_file

    def listening(path: bytes, params: Any) -> Any:
        told.append(params.n_gpu_layers)
        return load(path, params)

    monkeypatch.setattr(api, "llama_model_load_from_file", listening)
    return told


@pytest.mark.parametrize("setting", [{}, {"gpu_layers": 0}, {"gpu_layers": 12}])
async def test_setting_reaches_llama_cpp(shipped_model: Path, layers: list[int], setting: dict[str, int]) -> None:
    async with serving(shipped_model, **setting) as served:
        await served.registry.get("tiny")
    assert layers == [setting.get("gpu_layers", -1)]


def test_trial_of_a_file_leaves_the_gpu_alone(shipped_model: Path, layers: list[int]) -> None:
    trial.greedy(str(shipped_model), "def", 1)
    assert layers == [0]
    assert _ENVIRONMENT["CUDA_VISIBLE_DEVICES"] == _ENVIRONMENT["GGML_VK_VISIBLE_DEVICES"] == ""
