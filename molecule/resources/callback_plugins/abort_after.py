"""Ends ansible-playbook at once, as a power cut does, after the task that CEREBRUM_TEST_ABORT_AFTER names."""

from __future__ import annotations

import os
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: abort_after
type: aggregate
short_description: Ends ansible-playbook at once after a task
description:
  - For tests of interrupted plays. No handler, no rescue and no cleaning up runs.
"""

ABORTED = 86


class CallbackModule(CallbackBase):  # type: ignore[misc]  # ansible has no types
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "abort_after"

    def v2_runner_on_ok(self, result: Any) -> None:
        wanted = os.environ.get("CEREBRUM_TEST_ABORT_AFTER")
        if wanted and wanted in result.task.get_name():
            os._exit(ABORTED)
