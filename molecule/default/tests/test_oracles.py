"""What programs of others say of a deployed host: ssh-audit from outside, lynis from inside."""

from __future__ import annotations

import json
import re
import subprocess
from concurrent.futures import Future
from pathlib import Path

import pytest
import yaml
from testinfra.backend.base import CommandResult

from nodes import ROOT, Node

WAIVERS = yaml.safe_load((Path(__file__).parent / "waivers.yml").read_text(encoding="utf-8"))
INDEX = 62  # lynis' hardening index: 57 on a host before the role, 65 after it


def judge(oracle: str, findings: set[str]) -> None:
    """Every finding is waived with a reason, and every waiver has its finding."""
    waived = {row["finding"]: row["reason"] for row in WAIVERS[oracle]}
    assert all(len(reason.split()) >= 5 for reason in waived.values())
    assert findings - set(waived) == set(), "found, and not waived"
    assert set(waived) - findings == set(), "waived, and not found any more"


@pytest.fixture(scope="module")
def ssh_audit() -> str:
    made = subprocess.run(
        [str(ROOT / "scripts/client_venv.sh"), "ssh-audit"], stdout=subprocess.PIPE, text=True, check=True
    )
    return f"{made.stdout.strip()}/bin/ssh-audit"


def test_ssh_audit_finds_nothing_but_what_is_waived(each: Node, ssh_audit: str) -> None:
    # How many connections a second sshd takes is no matter of its configuration.
    done = subprocess.run(
        [ssh_audit, "--json", "--skip-rate-test", each.address], capture_output=True, text=True, check=False
    )
    report = json.loads(done.stdout)
    assert [row["algorithm"] for row in report["key"]][-1] == "ssh-ed25519"
    findings = {
        f"{kind} {row['algorithm']}: {note}"
        for kind in ("kex", "key", "enc", "mac")
        for row in report[kind]
        for level in ("fail", "warn")
        for note in row["notes"].get(level, [])
    }
    judge("ssh_audit", findings)


def test_lynis_warns_of_nothing_but_what_is_waived(vps: Node, lynis: Future[CommandResult]) -> None:
    done = lynis.result()
    assert done.rc == 0, done.stdout[-2000:] + done.stderr
    report = vps.host.file("/var/log/lynis-report.dat").content_string
    judge("lynis", set(re.findall(r"^warning\[\]=(\S+?\|.*?)\|", report, re.MULTILINE)))
    (index,) = re.findall(r"^hardening_index=(\d+)", report, re.MULTILINE)
    assert int(index) >= INDEX
