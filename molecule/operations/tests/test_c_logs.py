"""`playbooks/logs.yml`: a request through both hosts, one that never was, and ids of a shape that none has."""

from __future__ import annotations

import uuid

import pytest

from nodes import Node
from operating import plain, run, stream, table, unchanged

pytestmark = pytest.mark.timeout(300)


def test_a_request_is_found_on_both_hosts_in_order_of_time(pi: Node, vps: Node) -> None:
    name = f"ops.{uuid.uuid4()}"
    stream(pi, name)
    assert pi.journal(name, "/v1/complete/stream")
    assert vps.journal(name, "/v1/inference/stream")
    done = run("playbooks/logs.yml", "-e", f"request_id={name}", "-e", "since=-10min")
    assert done.returncode == 0, done.stdout
    assert unchanged(done)
    head, *lines = table(done.stdout, "Logs | The request")
    assert "UTC" in head
    who = [tuple(line.split()[1:3]) for line in lines]
    assert set(who) == {("pi", "edge"), ("vps", "inference")}
    assert [line.split()[0] for line in lines] == sorted(line.split()[0] for line in lines)
    assert any("route=/v1/inference/stream status=200" in line for line in lines)
    assert "fibonacci" not in done.stdout


def test_one_that_never_was_is_looked_for_and_said_where() -> None:
    done = run("playbooks/logs.yml", "-e", "request_id=never-was")
    assert done.returncode == 2
    assert "No record of request never-was, in the journals of Cerebrum's services on pi, vps." in plain(done.stdout)


@pytest.mark.parametrize("name", ["a;reboot", ".*|x", "", "x" * 129])
def test_an_id_of_another_shape_is_refused(name: str) -> None:
    done = run("playbooks/logs.yml", "-e", f'{{"request_id": "{name}"}}')
    assert done.returncode == 2
    assert "an id has 1 to 128 letters, digits" in plain(done.stdout)
    assert "Logs | Journal is searched" not in done.stdout
