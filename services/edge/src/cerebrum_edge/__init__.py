"""The edge of Cerebrum: decides which model answers, and relays its tokens as they come."""

from importlib.metadata import version

__version__ = version("cerebrum-edge")
