"""The repository's own files, for tests about them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
SCENARIOS = sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))


def load(path: Path | str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def tracked() -> list[Path]:
    """Every file that git tracks or would track."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def text_files() -> list[tuple[Path, str]]:
    """Tracked files that hold text, with it."""
    found = []
    for path in tracked():
        with path.open("rb") as file:
            if b"\0" in file.read(8000):
                continue
        found.append((path.relative_to(ROOT), path.read_text(encoding="utf-8")))
    return found
