"""The terminal client of Cerebrum."""

from importlib.metadata import version

__version__ = version("cerebrum-cli")
