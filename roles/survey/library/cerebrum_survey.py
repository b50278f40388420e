#!/usr/bin/python
"""What is on a host and what it answers, as facts: what they mean is decided on the controller."""

from __future__ import annotations

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.survey_services import asked, backends, running, service, settings
from ansible.module_utils.survey_system import system
from ansible.module_utils.survey_ways import firewall, keys, monitoring, tailnet, tunnels

DOCUMENTATION = r"""
module: cerebrum_survey
short_description: What is on a host and what it answers; changes nothing
options:
  services: {description: Services to look at, type: list, elements: str, default: [edge, inference]}
  client_key: {description: A key that the edge admits where it admits only those, type: str, default: ""}
  asked_at: {description: The controller's clock when it asked, type: float, default: 0}
  deep: {description: Also has the edge try its backends and generate a token, type: bool, default: false}
author: The Cerebrum authors
"""
EXAMPLES = r"""
- cerebrum_survey: {deep: true}
"""
RETURN = r"""
survey: {description: The facts, type: dict, returned: always}
asked_at: {description: As it was given, type: float, returned: always}
"""


def survey(names: list[str], client_key: str, deep: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"time": time.time(), "system": system(), "keys": keys(), "firewall": firewall()}
    found |= {"tunnels": tunnels(), "tailnet": tailnet(), "monitoring": monitoring(), "services": {}, "backends": {}}
    for name in names:
        one = service(name)
        instance = running(one)
        env = settings(name, instance) if instance else {}
        one |= {"instance": instance, "answers": asked(name, one, client_key, deep)}
        found["services"][name] = one
        if name == "edge":
            found["backends"] = backends(env)
    return found


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "services": {"type": "list", "elements": "str", "default": ["edge", "inference"]},
            "client_key": {"type": "str", "default": "", "no_log": True},
            "asked_at": {"type": "float", "default": 0.0},
            "deep": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    asked_for = module.params
    facts = survey(asked_for["services"], asked_for["client_key"], asked_for["deep"])
    module.exit_json(changed=False, survey=facts, asked_at=asked_for["asked_at"])


if __name__ == "__main__":
    main()
