"""Numbers that operators change: the rules follow, and tell when there are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from monitoring import files, rules
from support import rule_tests
from support.alert_cases.case import Case, fires, quiet
from support.repo import ROOT, load

RULES = ROOT / files.RULES
DISK = 'job="node",instance="vps",device="/dev/sda1",fstype="ext4",mountpoint="/"'
HALF_FULL = {f"node_filesystem_avail_bytes{{{DISK}}}": "500x40", f"node_filesystem_size_bytes{{{DISK}}}": "1000x40"}
MISSING = fires("ThresholdsMissing", "one is gone", {}, labels={}, value="13")
NONE = fires("ThresholdsMissing", "all are gone", {}, labels={}, value="0")
PROBE = {'up{job="edge",instance="pi"}': "1x90", 'up{job="node",instance="pi"}': "1x90"}


def _thresholds(**other: float | None) -> dict[str, Any]:
    """The committed file, with other numbers; None leaves one out."""
    content: dict[str, Any] = load(RULES / "thresholds.yml")
    group = content["groups"][0]
    kept = []
    for rule in group["rules"]:
        name = rule["record"].rpartition(":")[2]
        if other.get(name, 0) is not None:
            kept.append({**rule, "expr": f"vector({other[name]})"} if name in other else rule)
    group["rules"] = kept
    return content


@pytest.mark.parametrize(
    ("case", "numbers"),
    [
        (fires("DiskFull", "half full", HALF_FULL, labels={
            "job": "node", "instance": "vps", "device": "/dev/sda1", "fstype": "ext4", "mountpoint": "/"}, value="50%"),
         {"disk_full_ratio": 0.45}),
        (quiet("DiskFull", "half full", HALF_FULL, "8m"), {"disk_full_ratio": 0.55}),
        (quiet("ProbeMissing", "none is wanted", PROBE, "20m"), {"probe_wanted": 0}),
        (MISSING, {"key_age_days": None}),
        (NONE, {one["record"].rpartition(":")[2]: None
                for one in load(RULES / "thresholds.yml")["groups"][0]["rules"]}),
    ],
    ids=lambda value: value.id if isinstance(value, Case) else "",
)  # fmt: skip
def test_rules_follow(case: Case, numbers: dict[str, float | None], tmp_path: Path) -> None:
    done = rule_tests.run([case], load(RULES / rules.file_of(case.alert)), _thresholds(**numbers), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
