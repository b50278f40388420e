"""Runs an app: uvicorn with our limits, under systemd or by hand."""

from cerebrum_kit.server.runner import ServerOptions, run

__all__ = ["ServerOptions", "run"]
