"""Numbers of the operator's own in files of rules. Nothing here asks a host."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

# As `make monitoring` writes them.
_RULE = re.compile(r"(?m)^( *- record: cerebrum:threshold:(\w+)\n *expr: vector\()([^)]*)(?=\))")


def with_thresholds(text: str, wanted: Mapping[str, Any]) -> str:
    """A file of rules with these numbers in place of its own."""
    return _RULE.sub(lambda found: found[1] + str(wanted.get(found[2], found[3])), text)


def problems(texts: Sequence[str], wanted: Mapping[str, Any]) -> list[str]:
    """What is wrong with the numbers, in sentences; nothing if they are fine."""
    names = sorted({found[2] for text in texts for found in _RULE.finditer(text)})
    unknown = [
        f"prometheus_thresholds has {name!r}; there are {', '.join(names)}." for name in wanted if name not in names
    ]
    return unknown + [
        f"prometheus_thresholds has {given!r} for {name}; write a number."
        for name, given in wanted.items()
        if name in names and not _is_number(given)
    ]


def _is_number(given: object) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool) and math.isfinite(given)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"prometheus_with_thresholds": with_thresholds, "prometheus_threshold_problems": problems}
