"""Both services as processes: the inference service with the shipped model, the edge in front of it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from cerebrum_kit.keys import key_line, new_key
from support.process import ServiceProcess, console_script, running

MODELS = Path(__file__).resolve().parents[2] / "models"
# Far beyond what the model was trained on: streams that last for seconds, of the real thing.
LONG_CONTEXT = 32_768


@dataclass
class System:
    edge: ServiceProcess
    inference: ServiceProcess
    key: str

    def ask(self, path: str, **more: Any) -> httpx.Response:
        """A request to the inference service with its key."""
        return httpx.request(
            more.pop("method", "GET"),
            f"{self.inference.url}{path}",
            headers={"x-api-key": self.key},
            timeout=30,
            trust_env=False,
            **more,
        )

    def slots_busy(self) -> int:
        return sum(slot["state"] != "idle" for slot in self.ask("/v1/slots").json()["slots"])


def write_keys(folder: Path) -> str:
    """Key files as a deployment has them; returns the plain key."""
    key = new_key()
    (folder / "vps").write_text(key + "\n", encoding="utf-8")
    (folder / "api_keys").write_text(key_line("pi", key) + "\n", encoding="utf-8")
    return key


def write_manifest(folder: Path, model: Path | None = None) -> Path:
    """The shipped model, or `model` in its place, with a context that makes long streams possible."""
    rows = yaml.safe_load((MODELS / "manifest.yml").read_text(encoding="utf-8"))["models"]
    tiny = {**rows[0], "context": LONG_CONTEXT}
    if model is not None:
        tiny |= {"file": model.name, "size_bytes": model.stat().st_size}
        tiny.pop("sha256")
    store = MODELS if model is None else model.parent
    path = folder / "manifest.yml"
    path.write_text(yaml.safe_dump({"store": str(store), "models": [tiny]}), encoding="utf-8")
    return path


def inference_environment(folder: Path, model: Path | None = None, /, **more: str) -> dict[str, str]:
    settings = {"MANIFEST": str(write_manifest(folder, model)), "API_KEYS_FILE": str(folder / "api_keys"), **more}
    settings.setdefault("MAX_CONTEXT", str(LONG_CONTEXT))
    # Tests share their machine with whatever else it does; what they assert must not depend on it.
    settings.setdefault("MAX_CPU_PERCENT", "100")
    return {f"CEREBRUM_INFERENCE_{name}": value for name, value in settings.items()}


def edge_environment(*urls: str, key_file: Path | None = None, **more: str) -> dict[str, str]:
    """Settings of an edge before these backends; the first is called `vps`, further ones `vps2` and so on."""
    backends = []
    for number, url in enumerate(urls, 1):
        backend = {"name": "vps" if number == 1 else f"vps{number}", "url": url}
        backends.append(backend if key_file is None else {**backend, "api_key_file": str(key_file)})
    settings = {"BACKENDS": json.dumps(backends), **more}
    return {f"CEREBRUM_EDGE_{name}": value for name, value in settings.items()}


@contextlib.contextmanager
def running_system(
    folder: Path, *, edge: Mapping[str, str] | None = None, inference: Mapping[str, str] | None = None
) -> Iterator[System]:
    """Both services, ready.

    Args:
        folder: for keys and the manifest.
        edge, inference: settings without their prefix.
    """
    key = write_keys(folder)
    with (
        running([console_script("cerebrum-inference")], inference_environment(folder, **(inference or {}))) as backend,
        running(
            [console_script("cerebrum-edge")], edge_environment(backend.url, key_file=folder / "vps", **(edge or {}))
        ) as front,
    ):
        yield System(front, backend, key)
