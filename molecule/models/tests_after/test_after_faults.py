"""After a hub that failed in every way, a download that was killed, and a good one."""

from __future__ import annotations

import httpx

from nodes import Node

HIDDEN = "hf_of-the-lab"


def test_both_models_are_there_and_the_service_runs(pi: Node, vps: Node) -> None:
    found = vps.host.check_output("find /var/lib/cerebrum/models -maxdepth 1 -name '*.gguf' -user root -printf x")
    assert found == "xx"
    assert vps.host.check_output("systemctl is-system-running") == "running"
    models = httpx.get(f"{pi.url}/v1/models", timeout=60, trust_env=False).text
    assert "hub_zeros" in models


def test_token_was_in_no_argument_no_environment_and_no_journal(vps: Node) -> None:
    seen = vps.host.file("/run/seen").content_string
    assert "HF_ENDPOINT=" in seen
    assert "LoadCredential=hf_token" in seen
    assert HIDDEN not in seen
    assert vps.host.run(f"journalctl --no-pager --output=verbose | grep --quiet {HIDDEN}").rc == 1
    folders = "/etc /run /opt/cerebrum /var/log /tmp"
    assert vps.host.run(f"grep --recursive --quiet --exclude-dir=credentials {HIDDEN} {folders}").rc == 1
