"""The scenario's hosts, as fixtures."""

from nodes import each, outside, pi, vps

__all__ = ["each", "outside", "pi", "vps"]
