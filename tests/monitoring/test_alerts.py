"""Every alert, in Debian's promtool: with series that must raise it, and with others that are close and must not."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitoring import rules
from support import rule_tests
from support.alert_cases import CASES, Case
from support.repo import ROOT, load

RULES = ROOT / "roles/prometheus/files/rules"


def _of(alert: str) -> list[Case]:
    return [case for case in CASES if case.alert == alert]


@pytest.mark.parametrize("alert", sorted({case.alert for case in CASES}))
def test_it_fires_when_it_must_and_only_then(alert: str, tmp_path: Path) -> None:
    done = rule_tests.run(_of(alert), load(RULES / rules.file_of(alert)), load(RULES / "thresholds.yml"), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
