"""What came back from a host: its facts, or why there are none. Nothing is read or written here."""

from __future__ import annotations

from typing import Any

_SUDO = ("sudo", "become", "privilege escalation")


def outcome(result: dict[str, Any], now: float) -> dict[str, Any]:
    """The host's facts, or a problem.

    Args:
        result: what the module's task registered.
        now: the controller's clock after the answer.

    Returns:
        `facts` (empty where there are none); `problem` and `kind`, which is reach, sudo or survey; `asked`, the
        controller's clock before and after: the host's, if it is right, is between them.
    """
    facts = result.get("survey") or {}
    asked = [float(result.get("asked_at") or 0), float(now)]
    if facts:
        return {"facts": facts, "problem": "", "kind": "", "asked": asked}
    message = " ".join(str(result.get("msg") or result.get("module_stderr") or "it gives no answer").split())
    if result.get("unreachable"):
        kind = "reach"
        # ssh's own words stand at the end, behind Ansible's.
        message = message.rpartition("via ssh: ")[2].rpartition("over ssh: ")[2]
    else:
        kind = "sudo" if any(word in message.lower() for word in _SUDO) else "survey"
    return {"facts": {}, "problem": message, "kind": kind, "asked": asked}


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"survey_outcome": outcome}
