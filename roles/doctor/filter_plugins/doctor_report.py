"""How `playbooks/doctor.yml` tells what it found. No I/O."""

from __future__ import annotations

from typing import Any

WIDTH = 92  # what Ansible's indentation leaves of a terminal of 100 columns


def report(rows: list[list[str]], width: int = WIDTH) -> str:
    """The findings as lines; what to do stands below what is wrong."""
    sizes = [max(len(row[column]) for row in rows) for column in range(3)]
    lines: list[str] = []
    for *names, message, mend in rows:
        begin = "  ".join(str(cell).ljust(size) for cell, size in zip(names, sizes, strict=True)) + "  "
        lines += _wrapped(begin, message, len(begin), width)
        if mend:
            lines += _wrapped(" " * (sizes[0] + 2) + "→ ", mend, sizes[0] + 4, width)
    return "\n".join(lines)


def troubles(rows: list[list[str]]) -> list[str]:
    """Names of the checks that found something broken, as `host: check`."""
    return [f"{host}: {check}" for verdict, host, check, *_ in rows if verdict == "TROUBLE"]


def _wrapped(begin: str, text: str, indent: int, width: int) -> list[str]:
    lines, line = [], begin
    for word in text.split():
        if len(line) + len(word) > width and line.strip():
            lines.append(line.rstrip())
            line = " " * indent
        line += word + " "
    return [*lines, line.rstrip()]


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"doctor_report": report, "doctor_troubles": troubles}
