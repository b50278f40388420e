"""Writes the scenario's models and their manifest: the shipped one, and one of zeros, as a hub would have them.

usage: make_manifest.py FOLDER
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

import yaml

from support.gguf_file import llama_file
from support.repo import ROOT

REVISION = "0123456789abcdef0123456789abcdef01234567"


def main() -> None:
    folder = Path(sys.argv[1])
    served = folder / "served"
    served.mkdir(exist_ok=True)
    shutil.copy(ROOT / "models/cerebrum-tiny.gguf", served / "tiny.gguf")
    llama_file(embedding=256, feed_forward=1024, heads=4, layers=2, vocab=4096).write(served / "zeros.gguf")
    rows = []
    for path, fallback in ((served / "tiny.gguf", True), (served / "zeros.gguf", False)):
        data = path.read_bytes()
        rows.append(
            {
                "id": f"hub_{path.stem}",
                "name": f"From a hub ({path.stem})",
                "file": f"hub-{path.name}",
                "sha256": hashlib.sha256(data).hexdigest(),
                "size_bytes": len(data),
                "ram_bytes": 60_000_000,
                "kv_bytes_per_token": 3072,
                "context": 512,
                "licence": "PSF-2.0",
                "fallback": fallback,
                "source": {"repo": "lab/models", "file": path.name, "revision": REVISION},
            }
        )
    (folder / "manifest.yml").write_text(yaml.safe_dump({"models": rows}, sort_keys=False), encoding="utf-8")


if __name__ == "__main__":
    main()
