"""What a deployment from a hub leaves on the host."""

from __future__ import annotations

import httpx

from nodes import Node

STORE = "/var/lib/cerebrum/models"
TINY = "fe62a9c65c068070a837bd736e0495654142ead9bef843555d022897824c0078"


def test_file_is_whole_roots_and_named_by_its_hash(vps: Node) -> None:
    file = vps.host.file(f"{STORE}/{TINY}.gguf")
    assert (file.user, file.group, file.mode, file.sha256sum) == ("root", "root", 0o644, TINY)
    assert vps.host.check_output(f"find {STORE}/incoming -type f") == ""


def test_who_fetches_cannot_touch_what_is_there(vps: Node) -> None:
    """Sticky: adding is allowed, removing and replacing what is root's is not."""
    as_it = "setpriv --reuid=cerebrum-models --regid=cerebrum-models --clear-groups"
    for command in (f"rm -f {STORE}/{TINY}.gguf", f"mv /dev/null {STORE}/{TINY}.gguf", f"touch {STORE}/known.yml"):
        assert vps.host.run(f"{as_it} {command}").rc != 0, command
    assert vps.host.file(f"{STORE}/{TINY}.gguf").sha256sum == TINY


def test_nothing_of_the_download_is_left(vps: Node) -> None:
    assert not vps.host.file("/run/cerebrum-models-token").exists
    assert not vps.host.file("/run/systemd/system/cerebrum-models-fetch.service").exists
    assert vps.host.check_output("systemctl list-units --all --plain --no-legend 'cerebrum-models*'") == ""
    assert vps.host.check_output("systemctl is-system-running") == "running"


def test_model_of_the_hub_answers(pi: Node) -> None:
    body = {"prompt": "def f():", "max_tokens": 4}
    answer = httpx.post(f"{pi.url}/v1/complete", json=body, timeout=60, trust_env=False)
    assert answer.json()["model"] == "hub_tiny"
