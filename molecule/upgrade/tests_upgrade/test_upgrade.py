"""From the release before to this one, while streams and requests go on: nothing fails, nothing is cut."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nodes import Node
from plays import play, start
from traffic import Traffic
from trees import Tree, previous

pytestmark = pytest.mark.timeout(1800)  # whole deployments under load; a test that hangs is what this is for


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """The release before serves."""
    folder = tmp_path_factory.mktemp("previous")
    tree = previous(folder / "tree")
    inventory = tree.inventory(Path(os.environ["MOLECULE_INVENTORY_FILE"]).parent, folder / "inventory")
    said = start("site.yml", root=tree.root, inventory=str(inventory))
    text = said.communicate()[0]
    assert said.returncode == 0, f"{tree.label} could not be deployed: {text[-4000:]}"
    return tree


def release(instance: str) -> str:
    return instance.partition("@")[2].rpartition(".service")[0]


def test_upgrade_under_load_drops_nothing(before: Tree, pi: Node, vps: Node, tell: Callable[[str], None]) -> None:
    old = {node.service: release(node.instance()) for node in (pi, vps)}
    with Traffic(pi) as traffic:
        done = play("playbooks/upgrade.yml")
        assert done.returncode == 0, done.stdout[-4000:]
        traffic.more()
    new = {node.service: release(node.instance()) for node in (pi, vps)}
    assert traffic.failures == []
    assert traffic.streams
    assert old["edge"] != new["edge"]
    assert old["inference"] != new["inference"]
    # Each release's share: in what clients were told, and in what Prometheus is told.
    assert set(traffic.answers) == {old["edge"], new["edge"]}
    assert set(traffic.metrics["edge"]) == {old["edge"], new["edge"]}
    assert {old["inference"], new["inference"]} <= set(traffic.metrics["backend"])
    # And the play said from where to where.
    for service, instance in old.items():
        line = f"{service} {instance.rpartition('.')[0]} -> {new[service].rpartition('.')[0]}"
        assert line in " ".join(done.stdout.split()), line
    resumed = sum(stream["resumed"] for stream in traffic.streams)
    tell(
        f"upgrade from {before.label}: {traffic.answers.total()} requests, 0 failed, slowest {traffic.slowest:.2f} s;"
        f" {len(traffic.streams)} streams, 0 cut, {resumed} taken up again; shares: {traffic.metrics}"
    )
