"""Looks on while a unit of the host fetches models, and shows how far it is, in Ansible's own output.

`until` and `retries` would call every look a failure, and `async` says nothing at all.
"""

from __future__ import annotations

import json
import shlex
import time
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

_LOOK_EVERY, _SHOW_EVERY = 1.0, 5.0
_RUNNING = {"active", "activating", "reloading", "deactivating"}

display = Display()


class ActionModule(ActionBase):  # type: ignore[misc] # ansible-core has no types
    """Ends when the unit does: with its last words, or with its failure."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset(("unit", "progress"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        host = (task_vars or {}).get("inventory_hostname", "")
        unit, progress = self._task.args["unit"], self._task.args["progress"]
        shown, at, followed = "", 0.0, False
        while True:
            unit_state, said = self._look(unit, progress)
            running = unit_state.get("ActiveState") in _RUNNING
            followed = followed or running
            line, now = str(said.get("line", "")), time.monotonic()
            if running and line and line != shown and (now - at >= _SHOW_EVERY or not shown):
                display.display(f"  {host}: {line}")
                shown, at = line, now
            if not running:
                break
            time.sleep(_LOOK_EVERY)
        result.update(changed=False, followed=followed, msg=str(said.get("text", "")))
        if unit_state.get("Result") not in {"success", None}:
            result.update(failed=True, msg=f"{host}: {self._failure(unit, unit_state, said)}")
        return result

    def _look(self, unit: str, progress: str) -> tuple[dict[str, str], dict[str, Any]]:
        show = f"systemctl show --property=ActiveState,Result,ExecMainCode,ExecMainStatus {shlex.quote(unit)}"
        done = self._low_level_execute_command(f"{show}; echo; cat {shlex.quote(progress)} 2>/dev/null || true")
        if done["rc"] != 0:
            raise AnsibleActionFail(f"{unit} cannot be looked at: {done['stderr'] or done['stdout']}")
        # A terminal of the connection, where there is one, ends lines its own way.
        head, _, tail = str(done["stdout"]).replace("\r\n", "\n").partition("\n\n")
        state = dict(line.split("=", 1) for line in head.splitlines() if "=" in line)
        try:
            said = json.loads(tail or "{}")
        except ValueError:
            said = {}
        return state, said

    def _failure(self, unit: str, state: dict[str, str], said: dict[str, Any]) -> str:
        if said.get("state") == "failed":
            return str(said["text"])
        done = self._low_level_execute_command(
            f"SYSTEMD_COLORS=0 journalctl --unit={shlex.quote(unit)} --lines=5 --no-pager --output=cat"
        )
        return (
            f"the download was ended ({state.get('Result')}, status {state.get('ExecMainStatus')}); what came is kept: "
            f"run the play again. Its journal ended with:\n{str(done['stdout']).replace(chr(13), '')}"
        )
