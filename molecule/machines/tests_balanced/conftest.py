"""The scenario's hosts, as fixtures."""

from fleet import lab
from nodes import balancer, pi, vps1, vps2, vps3

__all__ = ["balancer", "lab", "pi", "vps1", "vps2", "vps3"]
