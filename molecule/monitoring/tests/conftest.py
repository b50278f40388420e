"""The scenario's two hosts, as fixtures."""

from nodes import each, pi, tell, vps

__all__ = ["each", "pi", "tell", "vps"]
