"""Builds what a release of one service is made of, once for each state of its sources, and describes it as JSON.

usage: build_release.py SERVICE CACHE_DIR

A release is named `<version>-<lock hash>`: the hash covers every requirement with its hashes, our own wheels' included,
so that the same name always means the same code. The wheels are built without a network, by the hatchling that is
installed beside the Python that runs this, and are the same to the byte whenever their sources are.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
# What each service's wheel is made from, beside its own folder and its lock.
EXTRA_SOURCES = {"inference": ("models/manifest.yml", "models/cerebrum-tiny.gguf", "locks/llama.txt")}
IGNORED = {"__pycache__", "tests", ".pytest_cache", ".mypy_cache"}


def sources(service: str) -> list[Path]:
    """Every file that the release depends on, sorted."""
    roots = [REPOSITORY / "services" / part for part in ("kit", service)]
    files = [path for root in roots for path in root.rglob("*") if path.is_file()]
    kept = [path for path in files if not IGNORED & set(path.parts) and not path.name.endswith(".pyc")]
    extra = [REPOSITORY / name for name in EXTRA_SOURCES.get(service, ())]
    return sorted([*kept, *extra, REPOSITORY / "locks" / f"{service}.txt", Path(__file__).resolve()])


def digest(paths: list[Path]) -> str:
    total = hashlib.sha256()
    for path in paths:
        total.update(f"{path.relative_to(REPOSITORY)}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def build_wheels(service: str, target: Path) -> list[Path]:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1577836800", "PIP_CONFIG_FILE": os.devnull}
    for part in ("kit", service):
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
        done = subprocess.run(
            [*command, "--wheel-dir", str(target), str(REPOSITORY / "services" / part)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            sys.exit(f"building services/{part} failed:\n{done.stderr.strip()}")
    return sorted(target.glob("*.whl"))


def requirements(service: str, wheels: list[Path]) -> str:
    """The service's lock, with our own wheels pinned in the same way."""
    lock = (REPOSITORY / "locks" / f"{service}.txt").read_text(encoding="utf-8")
    own = ""
    for wheel in wheels:
        name, version = wheel.name.split("-")[:2]
        pin = hashlib.sha256(wheel.read_bytes()).hexdigest()
        own += f"{name.replace('_', '-')}=={version} \\\n    --hash=sha256:{pin}\n"
    if service == "inference":
        # Compiled where it runs, from this archive; a comment for pip, a part of the release's name for us.
        own += "".join(
            f"# {line}\n" for line in (REPOSITORY / "locks/llama.txt").read_text().split() if "sha256" in line
        )
    return lock + own


def describe(folder: Path) -> dict[str, object]:
    facts: dict[str, object] = json.loads((folder / "release.json").read_text(encoding="utf-8"))
    return {
        **facts,
        "requirements": str(folder / "requirements.txt"),
        "wheels": [str(path) for path in sorted(folder.glob("*.whl"))],
    }


def main() -> None:
    service, cache = sys.argv[1], Path(sys.argv[2])
    if importlib.util.find_spec("hatchling") is None:
        sys.exit(
            f"{sys.executable} has no hatchling, which builds Cerebrum's wheels; "
            "run `make venv` and deploy with .venv/bin/ansible-playbook"
        )
    folder = cache / "releases" / service / digest(sources(service))[:16]
    if not (folder / "release.json").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".building.") as work:
            built = Path(work) / "built"
            built.mkdir()
            text = requirements(service, build_wheels(service, built))
            (built / "requirements.txt").write_text(text, encoding="utf-8")
            project = tomllib.loads((REPOSITORY / "services" / service / "pyproject.toml").read_text("utf-8"))
            release = f"{project['project']['version']}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
            (built / "release.json").write_text(json.dumps({"release": release}), encoding="utf-8")
            shutil.rmtree(folder, ignore_errors=True)
            built.rename(folder)
    print(json.dumps(describe(folder)))


if __name__ == "__main__":
    main()
