"""Four bad releases while people work: each play names the cause, what served serves on, and the bad one is gone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from nodes import Node
from plays import start
from traffic import Traffic
from trees import Tree, copy

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return copy(tmp_path / "tree", "bad")


@pytest.fixture(scope="module")
def traffic(pi: Node) -> Iterator[Traffic]:
    with Traffic(pi) as load:
        yield load
    assert load.failures == []
    assert load.streams


def files(node: Node) -> list[str]:
    """What there is of releases, instances and their settings."""
    places = f"/opt/cerebrum/{node.service}/releases /etc/cerebrum/{node.service} /etc/systemd/system"
    return sorted(node.host.check_output(f"find {places} -maxdepth 1 -name '*[0-9].[0-9]*'").splitlines())


def upgrade(tree: Tree, *words: str) -> str:
    """What a play says that has to fail, with its white space evened out."""
    run = start("playbooks/upgrade.yml", *words, root=tree.root)
    said = run.communicate()[0]
    assert run.returncode == 2, said[-4000:]
    return " ".join(said.split())


def assert_untouched(traffic: Traffic, nodes: list[Node], before: list[tuple[str, list[str]]]) -> None:
    traffic.more()
    assert [(node.instance(), files(node)) for node in nodes] == before


def test_wheel_whose_hash_is_wrong(tree: Tree, traffic: Traffic, pi: Node, vps: Node) -> None:
    before = [(node.instance(), files(node)) for node in (pi, vps)]
    tree.version("9.9.9", "inference")
    lock = tree.root / "locks/inference.txt"
    pins = re.search(r"(?m)^anyio==.*\n(?: +--hash=.*\n)+", lock.read_text(encoding="utf-8"))
    assert pins
    forged = re.sub(r"sha256:[0-9a-f]{64}", f"sha256:{'0' * 64}", pins[0])
    tree.patch("locks/inference.txt", pins[0], forged)
    said = upgrade(tree)
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in said
    assert "Nothing that runs was touched" in said
    assert_untouched(traffic, [pi, vps], before)


def test_configuration_that_is_refused(tree: Tree, traffic: Traffic, pi: Node) -> None:
    """A release that takes fewer waiting requests than the inventory asks for."""
    tree.version("9.9.9", "edge")
    tree.patch(
        "services/edge/src/cerebrum_edge/settings.py",
        "max_queue: int = Field(8, ge=0, le=10_000)",
        "max_queue: int = Field(8, ge=0, le=16)",
    )
    before = [(pi.instance(), files(pi))]
    said = upgrade(tree)
    assert "did not become ready on pi" in said
    assert "CEREBRUM_EDGE_MAX_QUEUE" in said
    assert "What ran before still serves" in said
    assert_untouched(traffic, [pi], before)


def test_model_that_does_not_load(tree: Tree, traffic: Traffic, pi: Node, vps: Node) -> None:
    tree.version("9.9.9", "inference")
    before = [(node.instance(), files(node)) for node in (pi, vps)]
    said = upgrade(tree, "-e", '{"inference_models": ["broken"], "inference_default_model": "broken"}')
    assert "did not become ready on vps" in said
    assert "broken" in said
    assert "What ran before still serves" in said
    assert_untouched(traffic, [pi, vps], before)


def test_readiness_that_never_comes(tree: Tree, traffic: Traffic, pi: Node) -> None:
    tree.version("9.9.9", "edge")
    tree.patch(
        "services/edge/src/cerebrum_edge/app.py",
        "            lifecycle.problem = pool.problem\n",
        "            await asyncio.sleep(3600)\n            lifecycle.problem = pool.problem\n",
    )
    tree.patch("roles/app/defaults/main.yml", "app_start_timeout: 120", "app_start_timeout: 20")
    tree.patch("roles/app/meta/argument_specs.yml", "default: 120", "default: 20")
    before = [(pi.instance(), files(pi))]
    said = upgrade(tree)
    assert "did not become ready on pi" in said
    assert "timeout" in said
    assert "What ran before still serves" in said
    assert_untouched(traffic, [pi], before)
