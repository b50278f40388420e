from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cerebrum_inference.app import choose_default
from cerebrum_inference.manifest import ManifestError, read_manifest, shipped_manifest
from cerebrum_kit.errors import ConfigurationError

ROW = {
    "id": "m",
    "name": "M",
    "file": "m.gguf",
    "size_bytes": 1,
    "ram_bytes": 1000,
    "kv_bytes_per_token": 10,
    "context": 64,
    "licence": "MIT",
}


def write(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text(yaml.safe_dump({"models": list(rows)}), encoding="utf-8")
    return path


def test_shipped_manifest_is_valid_and_complete() -> None:
    manifest = read_manifest(shipped_manifest())
    rows = {row.id: row for row in manifest.models}
    assert [row.id for row in manifest.models if row.fallback] == ["cerebrum-tiny"]
    assert rows["qwen_7b"].languages == ("python", "javascript", "typescript")
    assert rows["codellama_7b"].languages == ("rust", "c", "cpp", "go")
    for row in manifest.models:
        assert row.sha256, row.id
        assert row.ram_bytes > row.size_bytes
        assert row.fallback or (row.source and len(row.source.revision or "") == 40), row.id


def test_memory_needed_counts_every_slots_context(tmp_path: Path) -> None:
    (row,) = read_manifest(write(tmp_path / "m.yml", ROW)).models
    assert row.memory_needed(slots=2, max_context=4096) == 1000 + 10 * 64 * 2
    assert row.memory_needed(slots=1, max_context=32) == 1000 + 10 * 32


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"file": "../m.gguf"}, "models.0.file: must be a plain file name"),
        ({"file": "/etc/passwd"}, "models.0.file"),
        ({"id": "M 1"}, "models.0.id"),
        ({"sha256": "abc"}, "models.0.sha256"),
        ({"sise": 3}, "models.0.sise"),
        ({"context": 0}, "models.0.context"),
    ],
)
def test_bad_row_is_named(tmp_path: Path, change: dict[str, object], words: str) -> None:
    with pytest.raises(ManifestError) as caught:
        read_manifest(write(tmp_path / "m.yml", {**ROW, **change}))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"), [("models: [", "not valid YAML"), ("models: []", "models"), ("[]", "m.yml"), ("", "m.yml")]
)
def test_bad_file_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "m.yml").write_text(text, encoding="utf-8")
    with pytest.raises(ManifestError) as caught:
        read_manifest(tmp_path / "m.yml")
    assert words in str(caught.value)


def test_same_id_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="stand twice: m"):
        read_manifest(write(tmp_path / "m.yml", ROW, ROW))


def test_default_model_is_the_settings_the_fallback_or_the_first(tmp_path: Path) -> None:
    two = read_manifest(write(tmp_path / "m.yml", ROW, {**ROW, "id": "n", "fallback": True}))
    assert choose_default(two, None) == "n"
    assert choose_default(two, "m") == "m"
    with pytest.raises(ConfigurationError, match="'x' is not in the manifest; allowed are m, n"):
        choose_default(two, "x")
