"""The configuration that role alertmanager writes: every kind of receiver is what Debian's Alertmanager takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from support import alertmanager
from support.prometheus import amtool

RECEIVERS: dict[str, dict[str, Any]] = {
    "webhook": {
        "type": "webhook",
        "url": "https://hooks.example/x",
        "token": "t0ken",
        "severities": ["page", "watchdog"],
    },
    "ntfy": {"type": "ntfy", "url": "https://ntfy.sh/me"},
    "email": {"type": "email", "to": "me@example.org", "smarthost": "mail.example.org:587", "password": 'pass"word'},
    "telegram": {"type": "telegram", "bot_token": "1:abc", "chat_id": -100123},
}


@pytest.mark.parametrize(
    "names", [(), *[(one,) for one in RECEIVERS], tuple(RECEIVERS)], ids=lambda names: "+".join(names)
)
def test_debians_alertmanager_takes_it(names: tuple[str, ...], tmp_path: Path) -> None:
    text = alertmanager.written(tmp_path, [RECEIVERS[name] for name in names])
    done = amtool("check-config", tmp_path / "out.yml")
    assert done.returncode == 0, done.stdout + done.stderr + text
    # What can stand in a file of its own does not stand here.
    assert "t0ken" not in text
    assert "pass" not in text.replace("auth_password_file", "")


def test_who_is_told_of_what(tmp_path: Path) -> None:
    found = {
        row["name"]: row
        for row in yaml.safe_load(alertmanager.written(tmp_path, list(RECEIVERS.values())))["receivers"]
    }
    assert found["none"] == {"name": "none"}
    assert set(found["page"]) == {"name", "webhook_configs", "email_configs", "telegram_configs"}
    assert [row["url"].partition("?")[0] for row in found["page"]["webhook_configs"]] == [
        "https://hooks.example/x", "https://ntfy.sh/me",
    ]  # fmt: skip
    assert [row["url"].partition("?")[0] for row in found["ticket"]["webhook_configs"]] == ["https://ntfy.sh/me"]
    assert set(found["watchdog"]) == {"name", "webhook_configs"}
    (hook,) = found["watchdog"]["webhook_configs"]
    assert not hook["send_resolved"]
    assert hook["http_config"]["authorization"] == {"credentials_file": "/etc/cerebrum/alertmanager/secrets/0"}
    (mail,) = found["page"]["email_configs"]
    assert (mail["from"], mail["auth_username"], mail["require_tls"]) == ("me@example.org", "me@example.org", True)
