"""What each alert is tried with."""

from __future__ import annotations

from support.alert_cases import hosts, inside, services, slo
from support.alert_cases.case import Case

CASES: tuple[Case, ...] = (*services.CASES, *hosts.CASES, *inside.CASES, *slo.CASES)

__all__ = ["CASES", "Case"]
