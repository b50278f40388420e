"""The edge, and the host of the server that is not ours."""

from __future__ import annotations

import pytest

from nodes import Node, node, pi

__all__ = ["pi"]


@pytest.fixture(scope="session")
def gpu() -> Node:
    return node("gpu", "", 8080)
