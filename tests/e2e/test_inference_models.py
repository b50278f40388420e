"""Models whose files are not what the manifest says, or are not there: each is its own problem and nobody else's."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from support.inference import TINY, Inference, running_inference, tiny_row
from support.system import MODELS


@dataclass
class Store:
    service: Inference
    folder: Path

    def infer(self, model: str) -> httpx.Response:
        return self.service.ask("/v1/inference", {"model": model, "prompt": "def ", "max_tokens": 2})

    def row(self, model: str) -> dict[str, Any]:
        return next(row for row in self.service.ask("/v1/models").json()["models"] if row["id"] == model)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Good, damaged, mislabelled, and one whose file the tests take away."""
    folder = tmp_path_factory.mktemp("models")
    good = (MODELS / "cerebrum-tiny.gguf").read_bytes()
    middle = len(good) // 2
    text = b"This is a letter.\n" * 200
    files = {
        "good.gguf": good,
        "second.gguf": good,
        "damaged.gguf": good[:middle] + bytes(byte ^ 0xFF for byte in good[middle : middle + 64]) + good[middle + 64 :],
        "letter.gguf": text,
        "header.gguf": good[:200] + b"\xff" * 64 + good[264:],
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    rows = [
        tiny_row(id="good", file="good.gguf"),
        tiny_row(id="second", file="second.gguf", fallback=False),
        tiny_row(id="damaged", file="damaged.gguf", fallback=False),
        tiny_row(id="letter", file="letter.gguf", fallback=False, size_bytes=len(text), sha256=None),
        tiny_row(id="pinned-letter", file="letter.gguf", fallback=False, size_bytes=len(text), sha256=_digest(text)),
        tiny_row(id="header", file="header.gguf", fallback=False, sha256=None),
        tiny_row(id="short", file="good.gguf", fallback=False, size_bytes=5),
        tiny_row(id="absent", file="absent.gguf", fallback=False),
    ]
    manifest = folder / "three.yml"
    manifest.write_text(yaml.safe_dump({"store": str(folder), "models": rows}), encoding="utf-8")
    with running_inference(folder, MANIFEST=str(manifest)) as service:
        yield Store(service, folder)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("damaged", "damaged.gguf has sha256"),
        ("letter", "letter.gguf: the file is not GGUF"),
        ("pinned-letter", "letter.gguf: the file is not GGUF"),
        ("header", "header.gguf"),
        ("short", "the manifest says 5"),
    ],
)
def test_file_that_is_not_what_it_should_be(store: Store, model: str, reason: str) -> None:
    for _ in range(2):
        answer = store.infer(model)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (503, "model_unusable")
        assert reason in error["message"]
        assert str(store.folder) not in error["message"], "where files are is nobody's business"
        assert int(answer.headers["retry-after"]) >= 1
    row = store.row(model)
    assert (row["state"], row["loaded"]) == ("unusable", False)
    assert reason in row["reason"]
    assert store.infer("good").status_code == 200
    with_stream = store.service.ask("/v1/inference/stream", {"model": model, "prompt": "x"})
    assert with_stream.status_code == 503, "before the first event a stream has a status too"


def test_refusal_of_every_endpoint_is_the_same(store: Store) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "/v1/completions": {"prompt": "x"},
        "/v1/chat/completions": {"messages": [{"role": "user", "content": "x"}]},
        "/v1/embeddings": {"input": "x"},
        "/v1/tokenize": {"text": "x"},
        "/infill": {"input_prefix": "x", "input_suffix": "y"},
        "/v1/load/damaged": {},
    }
    for path, body in bodies.items():
        answer = store.service.ask(path, {**body, "model": "damaged"} if body else None, method="POST")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_unusable"), path


def test_model_that_was_never_installed_is_not_there(store: Store) -> None:
    answer = store.infer("absent")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    assert "absent" not in [row["id"] for row in store.service.ask("/v1/models").json()["models"]]
    for model in ("nothing", "absent"):
        error = store.infer(model).json()["error"]
        assert error["param"] == "model"
        assert "good, second, damaged" in error["message"], "what there is stands in the refusal"


def test_file_that_goes_and_comes_back(store: Store) -> None:
    path, away = store.folder / "second.gguf", store.folder / "second.away"
    assert store.infer("second").status_code == 200
    path.rename(away)
    assert store.infer("second").status_code == 200, "what is in memory needs no file"
    assert store.service.ask("/v1/unload/second", method="POST").json()["unloaded"] is True
    gone = store.infer("second")
    assert (gone.status_code, gone.json()["error"]["code"]) == (503, "model_unusable")
    assert "second.gguf: No such file" in gone.json()["error"]["message"]
    assert store.infer("good").status_code == 200
    shutil.copyfile(away, path)
    assert store.infer("second").status_code == 200, "put back, it serves"
    assert store.row("second")["state"] == "loaded"
    assert store.row("second")["reason"] is None


def test_model_that_is_mended_serves(store: Store) -> None:
    path = store.folder / "damaged.gguf"
    damaged = path.read_bytes()
    assert store.infer("damaged").status_code == 503
    shutil.copyfile(store.folder / "good.gguf", path)
    assert store.infer("damaged").status_code == 200
    assert store.service.ask("/v1/unload/damaged", method="POST").json()["unloaded"] is True
    path.write_bytes(damaged)
    assert store.infer("damaged").status_code == 503


def test_every_model_has_its_series_from_the_start(store: Store) -> None:
    families = text_string_to_metric_families(store.service.ask("/metrics").text)
    found = [sample for family in families for sample in family.samples]
    rows = ["good", "second", "damaged", "letter", "pinned-letter", "header", "short", "absent"]
    by_model = {one.name for one in found if "model" in one.labels}
    assert len(by_model) > 20
    # A histogram has many series: models from the seventh on share one (docs/metrics.md).
    shared = {*rows[:6], "other"}
    for name in by_model:
        wanted = shared if name.endswith(("_bucket", "_count", "_sum")) else set(rows)
        assert {one.labels["model"] for one in found if one.name == name} == wanted, name
    absent = [one for one in found if one.labels.get("model") == "absent" and not one.name.endswith("_created")]
    assert {one.value for one in absent} == {0.0}


def test_default_model_that_is_unusable_leaves_the_others(tmp_path: Path) -> None:
    shutil.copyfile(MODELS / "cerebrum-tiny.gguf", tmp_path / "good.gguf")
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + b"\0" * 96)
    rows = [
        tiny_row(id="bad", file="bad.gguf", size_bytes=100, sha256=None),
        tiny_row(id=TINY, file="good.gguf", fallback=False),
    ]
    manifest = tmp_path / "two.yml"
    manifest.write_text(yaml.safe_dump({"store": str(tmp_path), "models": rows}), encoding="utf-8")
    with running_inference(tmp_path, MANIFEST=str(manifest)) as service:
        assert service.ask("/health").json()["status"] == "degraded"
        assert service.ask("/ready").status_code == 503
        assert "bad.gguf" in service.ask("/ready").json()["problem"]
        assert service.ask("/v1/inference", {"prompt": "x", "max_tokens": 1}).status_code == 503
        assert service.ask("/v1/inference", {"model": TINY, "prompt": "x", "max_tokens": 1}).status_code == 200
