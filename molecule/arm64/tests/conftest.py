"""The scenario's two hosts, as fixtures."""

from nodes import pi, vps

__all__ = ["pi", "vps"]
