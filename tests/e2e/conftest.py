from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from support.exact_model import write_exact_model
from support.inference import Inference, running_inference
from support.system import MODELS, System, running_system


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

    In arithmetic that does not depend on how a prompt was cut into batches, which the machine's load decides: two runs
    of one request would else differ wherever two tokens are nearly as likely.
    """
    folder = tmp_path_factory.mktemp("inference")
    model = write_exact_model(MODELS / "cerebrum-tiny.gguf", folder / "tiny.gguf")
    with running_inference(folder, model=model, FLASH_ATTENTION="off") as service:
        yield service


@pytest.fixture(scope="module")
def sdk(inference: Inference) -> Iterator[openai.OpenAI]:
    """OpenAI's own client of that service."""
    with inference.openai() as client:
        yield client
