"""Writes each task of a run with its seconds into the file that CEREBRUM_TASK_TIMES names."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: task_times
type: aggregate
short_description: Writes each task of a run with its seconds into a file
description:
  - A task's time is that of all its hosts and items, until the next one begins. ansible-core brings no such callback.
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]  # ansible has no types
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "task_times"

    def __init__(self) -> None:
        super().__init__()
        self._tasks: list[tuple[str, str, float]] = []

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self._begun(task)

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        self._begun(task)

    def _begun(self, task: Any) -> None:
        self._tasks.append((task.get_name(), task.action.rpartition(".")[2], time.monotonic()))

    def v2_playbook_on_stats(self, stats: Any) -> None:
        ends = [began for _, _, began in self._tasks[1:]] + [time.monotonic()]
        rows = [
            {"task": name, "action": action, "seconds": round(end - began, 3)}
            for (name, action, began), end in zip(self._tasks, ends, strict=True)
        ]
        path = os.environ.get("CEREBRUM_TASK_TIMES")
        if path:
            Path(path).write_text(json.dumps(rows), encoding="utf-8")
