"""What a file of rules is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["page", "ticket", "none"]


@dataclass(frozen=True, slots=True)
class Recording:
    """A series that Prometheus computes and keeps."""

    record: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition, and what a person is told of it.

    Attributes:
        severity: `page` wakes somebody, `ticket` is for the next working hour, `none` is for machines.
        lasting: how long the condition must hold (Prometheus' `for`).
        keep: how long it goes on firing when the condition has ended (`keep_firing_for`).
        summary: what is so, in a line.
        description: what that means, and what to do first.
    """

    name: str
    severity: Severity
    expr: str
    summary: str
    description: str
    lasting: str = "0s"
    keep: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def anchor(self) -> str:
        """The alert's section in the runbook."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated one after the other; later ones see what earlier ones recorded."""

    name: str
    rules: tuple[Recording | Alert, ...]
    interval: str | None = None
