"""ansible-playbook with this repository's configuration, and roles' plugins as modules."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

from support.repo import ROOT


def start(
    playbook: Path | str, *words: str, inventory: str, root: Path = ROOT, **environment: str
) -> subprocess.Popen[str]:
    """A playbook that runs; a relative path is the repository's, or another tree's. Both streams are in stdout, without
    colours.
    """
    return subprocess.Popen(
        [str(Path(sys.executable).with_name("ansible-playbook")), "-i", inventory, str(root / playbook), *words],
        cwd=root,
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(root / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_FORCE_COLOR": "0",  # molecule asks for them
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def play(
    playbook: Path | str, *words: str, inventory: str, root: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[str]:
    run = start(playbook, *words, inventory=inventory, root=root, **environment)
    said = run.communicate()[0]
    return subprocess.CompletedProcess(run.args, run.returncode, said)


def plugin(path: str) -> ModuleType:
    """A role's plugin, as Ansible loads it: by its file."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
