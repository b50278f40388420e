"""The scenario's two hosts, as fixtures; and what its tests measured, in the output."""

from __future__ import annotations

import pytest

from nodes import pi, vps

__all__ = ["pi", "vps"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")
