#!/usr/bin/env python3
"""Where the lab's hosts are, as plain values: an expression would be computed anew for every task of a play.

Ansible runs this as a part of the inventory. Before `make up` there is no lab, and nothing is said.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

LABS = Path("/var/lib/cerebrum-lab")


def folder(checkout: Path, name: str) -> Path:
    """Made from the checkout's path, as role lab_host does: two checkouts have two labs."""
    return LABS / hashlib.sha256(f"{checkout} {name}".encode()).hexdigest()[:8]


def variables(lab: Path) -> dict[str, dict[str, str]]:
    """Those of each host that the lab has."""
    try:
        facts = json.loads((lab / "lab.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    ssh = f"-o UserKnownHostsFile={lab}/known_hosts -o StrictHostKeyChecking=yes"
    return {
        name: {
            "ansible_host": host["address"],
            "ansible_ssh_private_key_file": facts["key"],
            "ansible_ssh_common_args": ssh,
            "lab_address": host["address"],
            "lab_folder": str(lab),
        }
        for name, host in facts.get("hosts", {}).items()
    }


if __name__ == "__main__":
    # Benchmarks have a lab of their own beside `make up`'s.
    found = variables(folder(Path(__file__).resolve().parents[2], os.environ.get("CEREBRUM_LAB") or "up"))
    print(json.dumps({"lab": {"hosts": sorted(found)}, "_meta": {"hostvars": found}}))
