from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from support.inference import Inference, running_inference
from support.system import System, running_system


@pytest.fixture(scope="session", autouse=True)
def interrupts_reach_programs() -> None:
    """A shell has what it runs in the background ignore SIGINT, and whatever that starts ignores it too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


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


@pytest.fixture(scope="module")
def inference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inference]:
    """The inference service alone, shared by a module's tests.

    Without flash attention, which rounds by where in the cache a text stands: two runs of one request would then differ
    wherever two tokens are nearly as likely.
    """
    with running_inference(tmp_path_factory.mktemp("inference"), FLASH_ATTENTION="off") as service:
        yield service


@pytest.fixture(scope="module")
def sdk(inference: Inference) -> Iterator[openai.OpenAI]:
    """OpenAI's own client of that service."""
    with inference.openai() as client:
        yield client
