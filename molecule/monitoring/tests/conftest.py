"""The scenario's three hosts, as fixtures."""

from nodes import each, pi, tell, vps, watch

__all__ = ["each", "pi", "tell", "vps", "watch"]
