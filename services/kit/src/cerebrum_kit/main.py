"""The console scripts' shared start: settings, logging, the app, the server."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn, TypeVar

from fastapi import FastAPI

from cerebrum_kit.errors import ConfigurationError
from cerebrum_kit.logs import configure_logging, get_logger
from cerebrum_kit.server import ServerOptions, run
from cerebrum_kit.settings import ServiceSettings, load

S = TypeVar("S", bound=ServiceSettings)
EXIT_BAD_SETTINGS = 2


def serve(service: str, settings_class: type[S], create_app: Callable[[S], FastAPI]) -> NoReturn:
    """Runs a service from its environment; a bad setting ends it with one line a problem and exit code 2."""
    try:
        settings, notes = load(settings_class)
        configure_logging(service, settings.log_level)
        for note in notes:
            get_logger(__name__).warning("deprecated setting", detail=note)
        app = create_app(settings)
    except ConfigurationError as exc:
        sys.stderr.write("".join(f"cerebrum-{service}: {line}\n" for line in str(exc).splitlines()))
        sys.exit(EXIT_BAD_SETTINGS)
    run(app, ServerOptions(settings.host, settings.port, settings.drain_seconds))
