"""The scenario's two hosts, as fixtures."""

from nodes import pi, tell, vps

__all__ = ["pi", "tell", "vps"]
