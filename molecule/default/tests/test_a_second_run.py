"""A run that has nothing to do is made of few tasks: their number is its time, and it grows by one line at a time."""

from __future__ import annotations

import re

from plays import play

MOST = 390  # of both hosts together, the skipped ones too; who needs more of them looks first where some can go


def test_a_run_that_changes_nothing_has_few_tasks() -> None:
    said = play("site.yml").stdout
    recap = re.findall(r"^(?:pi|vps) .* ok=(\d+) +changed=0 .* failed=0 +skipped=(\d+) ", said, re.MULTILINE)
    assert len(recap) == 2, said[-1000:]
    assert sum(int(ok) + int(skipped) for ok, skipped in recap) <= MOST, recap
