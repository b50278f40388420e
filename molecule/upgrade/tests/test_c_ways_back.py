"""Back to what served before, and an exchange on a host whose memory holds one instance: neither drops anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodes import Node
from plays import play
from traffic import Traffic
from trees import copy

pytestmark = pytest.mark.timeout(1800)


def words_of(text: str) -> str:
    return " ".join(text.split())


def test_rollback_wants_a_service(pi: Node) -> None:
    before = pi.instance()
    done = play("playbooks/rollback.yml")
    assert done.returncode == 2
    assert "say -e rollback_service=edge" in words_of(done.stdout)
    assert pi.instance() == before


def test_rollback_under_load_and_forward_again(pi: Node) -> None:
    present = pi.instance()
    served = [line.split()[1] for line in pi.host.check_output("cat /opt/cerebrum/edge/served").splitlines()]
    assert f"cerebrum-edge@{served[-1]}.service" == present
    with Traffic(pi) as traffic:
        back = play("playbooks/rollback.yml", "-e", "rollback_service=edge")
        assert back.returncode == 0, back.stdout[-4000:]
        former = pi.instance()
        assert former == f"cerebrum-edge@{served[-2]}.service"
        traffic.more()
        forward = play("playbooks/rollback.yml", "-e", "rollback_service=edge")
        assert forward.returncode == 0, forward.stdout[-4000:]
        traffic.more()
    assert pi.instance() == present
    assert traffic.failures == []
    assert f"{served[-1]} -> {served[-2]}" in words_of(back.stdout)


def test_release_that_is_not_there_is_refused(pi: Node) -> None:
    before = pi.instance()
    done = play("playbooks/rollback.yml", "-e", "rollback_service=edge", "-e", "rollback_release=0.0.0-000000000000")
    assert done.returncode == 2
    assert "has no release 0.0.0-000000000000 that served before; it keeps" in words_of(done.stdout)
    assert pi.instance() == before


def test_host_whose_memory_holds_one_instance(pi: Node, vps: Node) -> None:
    """The old one stops first, and back again. Requests wait in the socket, streams are taken up again by the edge."""
    before = vps.instance()
    room = ("-e", "inference_exchange=after", "-e", "inference_exchange_drain_seconds=1")
    with Traffic(pi) as traffic:
        done = play("playbooks/inference.yml", *room, "-e", "inference_step_ms=240")
        assert done.returncode == 0, done.stdout[-4000:]
        traffic.more()
        changed = vps.instance()
        back = play("playbooks/rollback.yml", *room, "-e", "rollback_service=inference")
        assert back.returncode == 0, back.stdout[-4000:]
        traffic.more()
    assert before != changed
    assert vps.instance() == before
    assert traffic.failures == []
    for instance in (before, changed):
        journal = vps.host.check_output("journalctl --unit=%s --no-pager --output=cat", instance)
        assert "asked again to stop: what still runs ends" in journal, "its streams would have taken longer"


def test_exchange_that_was_cut_short_can_be_undone(pi: Node, vps: Node, tmp_path: Path) -> None:
    """The old one had made room for one that never becomes ready, and the play ended there, as with Ctrl-C."""
    tree = copy(tmp_path / "tree", "never ready")
    tree.version("9.2.0", "inference")
    check = "            lifecycle.problem = await self_check(engine, default_model)\n"
    never = "            await asyncio.sleep(3600)\n"
    tree.patch("services/inference/src/cerebrum_inference/app.py", check, never + check)
    words = ("-e", "inference_exchange=after", "-e", "inference_start_timeout=20")
    old = vps.instance()
    play("playbooks/inference.yml", *words, root=tree.root, abort_after="App | Old instances drain")
    assert vps.host.run("systemctl is-active %s", old).stdout.strip() == "inactive"
    # First with what is as bad: what served before the exchange serves again, though this run has not stopped it.
    again = play("playbooks/inference.yml", *words, root=tree.root)
    assert again.returncode == 2, again.stdout[-4000:]
    assert f"What ran before serves again ({old})" in words_of(again.stdout)
    assert vps.instance() == old
    # Then by hand, without another try.
    play("playbooks/inference.yml", *words, root=tree.root, abort_after="App | Old instances drain")
    back = play("playbooks/rollback.yml", "-e", "rollback_service=inference")
    assert back.returncode == 0, back.stdout[-4000:]
    assert vps.instance() == old
    with Traffic(pi) as traffic:
        traffic.more()
    assert traffic.failures == []
