"""Writes the scenario's models and their manifest: the shipped one, a slow one, and one that llama.cpp does not load.

usage: make_models.py FOLDER
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

import yaml

from support.gguf_file import llama_file
from support.repo import ROOT


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    shutil.copy(ROOT / "models/cerebrum-tiny.gguf", folder / "cerebrum-tiny.gguf")
    # Large enough that a stream of some hundred tokens outlasts the exchange of an instance.
    llama_file(embedding=512, feed_forward=2048, heads=8, kv_heads=2, layers=8, vocab=4096, context=8192).write(
        folder / "slow.gguf"
    )
    broken = llama_file(context=512)
    del broken.tensors["blk.0.ffn_up.weight"]
    broken.write(folder / "broken.gguf")
    rows = []
    for name, context in (("cerebrum-tiny", 512), ("slow", 8192), ("broken", 512)):
        data = (folder / f"{name}.gguf").read_bytes()
        rows.append(
            {
                "id": name,
                "name": name,
                "file": f"{name}.gguf",
                "sha256": hashlib.sha256(data).hexdigest(),
                "size_bytes": len(data),
                "ram_bytes": 60_000_000 + len(data),
                "kv_bytes_per_token": 8192,
                "context": context,
                "licence": "PSF-2.0",
                "fallback": name == "cerebrum-tiny",
            }
        )
    (folder / "manifest.yml").write_text(yaml.safe_dump({"models": rows}, sort_keys=False), encoding="utf-8")


if __name__ == "__main__":
    main()
