"""The scenario's two hosts, as fixtures."""

from nodes import each, pi, vps

__all__ = ["each", "pi", "vps"]
