"""Other versions of this repository to deploy from: the release before, and releases that are bad in some way."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

from support.repo import ROOT, tracked

SERVICES = ("edge", "inference", "kit")


@dataclass(frozen=True)
class Tree:
    root: Path
    label: str

    def patch(self, path: str, old: str, new: str) -> None:
        """Replaces `old`, which stands there once, so that a test never goes on with a tree that is as good as ours."""
        file = self.root / path
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{path} has {old!r} {text.count(old)} times"
        file.write_text(text.replace(old, new), encoding="utf-8")

    def version(self, version: str, *services: str) -> None:
        """Gives the services another version, all of them unless some are named."""
        for service in services or SERVICES:
            file = self.root / f"services/{service}/pyproject.toml"
            text, count = re.subn(r'(?m)^version = ".*"$', f'version = "{version}"', file.read_text(encoding="utf-8"))
            assert count == 1, file
            file.write_text(text, encoding="utf-8")

    def inventory(self, inventory: Path, folder: Path) -> Path:
        """A copy of an inventory with the variables that this tree knows: it refuses those that came later."""
        shutil.copytree(inventory, folder)
        known = (self.root / "docs/variables.md").read_text(encoding="utf-8")
        for file in (folder / "group_vars").iterdir():
            values = yaml.safe_load(file.read_text(encoding="utf-8"))
            kept = {name: value for name, value in values.items() if name == "ansible_user" or f"`{name}`" in known}
            file.write_text(yaml.safe_dump(kept), encoding="utf-8")
        return folder


def copy(folder: Path, label: str) -> Tree:
    """This working tree, without what git does not track."""
    for path in tracked():
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return Tree(folder, label)


def previous(folder: Path) -> Tree:
    """The last tagged release before this commit. A checkout without tags has none: then it is this tree under an older
    version, which is an upgrade as well, though not between two states of the roles.
    """
    described = git("describe", "--tags", "--abbrev=0", "--match", "v[0-9]*", "HEAD^")
    if described.returncode == 0:
        tag = described.stdout.decode().strip()
        archive = git("archive", "--format=tar", tag)
        assert archive.returncode == 0, archive.stderr
        folder.mkdir(parents=True)
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        return Tree(folder, tag)
    tree = copy(folder, "this tree as 0.0.1, for the checkout has no tag")
    tree.version("0.0.1")
    return tree


def git(*words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, check=False)
