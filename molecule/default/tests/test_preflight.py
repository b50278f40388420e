"""Bad input for the last role is refused before the first one has begun."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def play(*extra: str) -> str:
    inventory = os.environ["MOLECULE_INVENTORY_FILE"]
    done = subprocess.run(
        ["ansible-playbook", "-i", inventory, "site.yml", *extra],
        cwd=ROOT,
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_FORCE_COLOR": "0",
            "ANSIBLE_NOCOLOR": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0, done.stdout
    assert "changed=0" in done.stdout
    assert "changed=1" not in done.stdout
    assert "Base | Packages" not in done.stdout, "a role had begun"
    return done.stdout


def test_a_value_out_of_range_is_refused_first() -> None:
    said = play("-e", "edge_max_queue=99999")
    assert "edge_max_queue 99999 (0-10000)" in said
    assert re.search(r"^vps .* failed=0 ", said, re.MULTILINE), "the other host was looked at and has no fault"


def test_a_variable_that_nobody_reads_is_refused_first() -> None:
    assert "variables that no role reads: inference_slts" in play("-e", "inference_slts=3")


def test_a_value_of_another_type_is_refused_first() -> None:
    assert "inference_slots" in play("-e", "inference_slots=many")
