"""The scenario's hosts, as fixtures."""

from __future__ import annotations

import pytest

from nodes import Node, node, pi, vps

__all__ = ["cloud", "hub", "member", "pi", "vps"]


@pytest.fixture(scope="session")
def cloud() -> Node:
    """An inference host without a TUN device."""
    return node("cloud", "inference", 9000)


@pytest.fixture(scope="session")
def hub() -> Node:
    """Headscale's host, which is in no tailnet."""
    return node("hub", "none", 443)


@pytest.fixture(params=["pi", "vps", "cloud"])
def member(request: pytest.FixtureRequest) -> Node:
    found: Node = request.getfixturevalue(request.param)
    return found
