"""`cerebrum-models` as a person or a play calls it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import yaml

ROW = {"name": "m", "size_bytes": 4, "ram_bytes": 1, "kv_bytes_per_token": 1, "context": 1, "licence": "none"}
GOOD = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"  # of b"test"


def call(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cerebrum_inference.store.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def manifest(path: Path, *hashes: str) -> Path:
    rows = [{"id": f"m{one[:4]}", "file": f"{one}.gguf", "sha256": one, **ROW} for one in hashes]
    path.write_text(yaml.safe_dump({"models": rows}), encoding="utf-8")
    return path


def test_unlisted_files_go_when_no_instance_needs_them(tmp_path: Path) -> None:
    store, settings = tmp_path / "store", tmp_path / "settings"
    store.mkdir()
    settings.mkdir()
    other, gone = "b" * 64, "c" * 64
    current = manifest(store / "manifest-00000001.yml", GOOD)
    manifest(store / "manifest-00000002.yml", GOOD, other)
    for one in (GOOD, other, gone):
        (store / f"{one}.gguf").write_bytes(b"test")
    (store / "manifest.txt").write_text("a person's own")
    (settings / "0.1.0-a.b.env").write_text(f"CEREBRUM_INFERENCE_MANIFEST='{store}/manifest-00000002.yml'\n")
    where = ["--store", str(store), "--instances", str(settings), "--current", str(current), "--json"]
    rows = json.loads(call("list", *where).stdout)
    assert [(row["label"], row["needed_by"]) for row in rows] == [
        ("mbbbb", ["0.1.0-a.b"]),
        (gone[:12], []),
        ("manifest-00000002.yml", ["0.1.0-a.b"]),
    ]
    assert [row["name"] for row in json.loads(call("prune", *where).stdout)] == [f"{gone}.gguf"]
    (settings / "0.1.0-a.b.env").unlink()
    assert call("prune", *where).returncode == 0
    kept = {path.name for path in store.iterdir() if path.is_file()}
    assert kept == {f"{GOOD}.gguf", current.name, "manifest.txt"}


def test_damage_is_found(tmp_path: Path) -> None:
    (tmp_path / f"{GOOD}.gguf").write_bytes(b"test")
    assert call("verify", "--store", str(tmp_path)).stdout == f"good  {GOOD}.gguf\n"
    (tmp_path / f"{GOOD}.gguf").write_bytes(b"tesT")
    done = call("verify", "--store", str(tmp_path))
    assert done.returncode == 1
    assert "Remove them and run the play" in done.stderr


def test_room_that_is_missing_is_said(tmp_path: Path) -> None:
    path = manifest(tmp_path / "known.yml", GOOD)
    text = path.read_text(encoding="utf-8").replace("size_bytes: 4", f"size_bytes: {1 << 60}")
    path.write_text(text, encoding="utf-8")
    done = call("room", "--store", str(tmp_path), str(path), f"m{GOOD[:4]}")
    assert done.returncode == 1
    assert "are missing. Free them on that volume" in done.stderr


def test_manifest_that_is_none_is_named(tmp_path: Path) -> None:
    done = call("room", "--store", str(tmp_path), str(tmp_path / "none.yml"), "m")
    assert done.returncode == 1
    assert done.stderr.startswith(f"cerebrum-models: manifest {tmp_path}/none.yml: ")


def test_service_does_not_import_the_hub() -> None:
    """It would take tens of MB of memory that models could have."""
    code = (
        "import sys, cerebrum_inference.app; print([one for one in sys.modules if one.startswith(('hugg', 'httpx2'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
