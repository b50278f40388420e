"""The inference service alone, as a process, for tests of its API."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import yaml

from support.process import ServiceProcess, console_script, running
from support.raw import request
from support.system import LONG_CONTEXT, MODELS, inference_environment, write_keys
from support.waiting import eventually

TINY = "cerebrum-tiny"
LONG = {"prompt": "def f(", "max_tokens": LONG_CONTEXT, "ignore_eos": True, "temperature": 0}
"""A generation that goes on until somebody stops it."""


@dataclass
class Inference:
    """The process, and a client with its key."""

    process: ServiceProcess
    key: str
    client: httpx.Client

    def ask(self, path: str, body: Any = None, *, method: str | None = None, **more: Any) -> httpx.Response:
        """A request with the key; POST where there is a body."""
        if body is not None:
            more["json"] = body
        return self.client.request(method or ("GET" if body is None else "POST"), path, **more)

    @contextlib.contextmanager
    def stream(self, path: str, body: Any) -> Iterator[Iterator[dict[str, Any]]]:
        """The events of a stream, as they come; leaving the block leaves the stream."""
        with self.client.stream("POST", path, json=body) as answer:
            assert answer.status_code == 200, answer.read()
            yield events(answer.iter_lines())

    def raw(self, path: str, body: bytes) -> bytes:
        """A request for a bare socket."""
        return request(path, body, headers=(f"X-API-Key: {self.key}",))

    def openai(self) -> openai.OpenAI:
        """OpenAI's own client; to be closed."""
        return openai.OpenAI(base_url=f"{self.process.url}/v1", api_key=self.key, max_retries=0)

    def tokenize(self, text: str) -> list[int]:
        tokens: list[int] = self.ask("/v1/tokenize", {"text": text}).json()["tokens"]
        return tokens

    def detokenize(self, tokens: list[int]) -> str:
        return str(self.ask("/v1/tokenize", {"tokens": tokens}).json()["text"])

    def states(self) -> dict[str, str]:
        """The state of each model that is listed."""
        return {row["id"]: row["state"] for row in self.ask("/v1/models").json()["models"]}

    def busy(self) -> list[dict[str, Any]]:
        """The slots that have work."""
        return [slot for slot in self.ask("/v1/slots").json()["slots"] if slot["state"] != "idle"]

    def wait_until_idle(self) -> None:
        eventually(lambda: not self.busy(), "every slot is free")

    def generates(self) -> bool:
        """Whether it lives and does what it is for."""
        answer = self.ask("/v1/inference", {"prompt": "def ", "max_tokens": 2, "ignore_eos": True})
        return answer.status_code == 200 and answer.json()["total_tokens"] == 2


def events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The JSON of a stream's events, OpenAI's `[DONE]` left out."""
    for line in lines:
        if line.startswith("data: ") and line != "data: [DONE]":
            yield json.loads(line.removeprefix("data: "))


def tiny_row(**changes: Any) -> dict[str, Any]:
    """The shipped model's row of a manifest."""
    row = yaml.safe_load((MODELS / "manifest.yml").read_text(encoding="utf-8"))["models"][0]
    return {**row, **changes}


@contextlib.contextmanager
def running_inference(
    folder: Path, *, model: Path | None = None, listener: socket.socket | None = None, **settings: str
) -> Iterator[Inference]:
    """The service, ready.

    Args:
        folder: for keys and the manifest.
        model: the file that is listed as the shipped model; without it that is what it is.
        listener: the socket that it gets; its options go on to the connections.
        settings: of the environment, without their prefix.
    """
    key = write_keys(folder)
    environment = inference_environment(folder, model, **settings)
    headers = {"x-api-key": key}
    with (
        running([console_script("cerebrum-inference")], environment, listener=listener) as process,
        httpx.Client(base_url=process.url, headers=headers, timeout=60, trust_env=False) as client,
    ):
        yield Inference(process, key, client)
