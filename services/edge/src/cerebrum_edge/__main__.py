"""`cerebrum-edge`"""

from __future__ import annotations

from typing import NoReturn

from fastapi import FastAPI

from cerebrum_edge.app import create_app
from cerebrum_edge.settings import EdgeSettings, refuse_unguarded
from cerebrum_kit.main import serve
from cerebrum_kit.server.systemd import inherited_addresses


def main() -> NoReturn:
    serve("edge", EdgeSettings, _create)


def _create(settings: EdgeSettings) -> FastAPI:
    refuse_unguarded(settings, inherited_addresses() or [settings.host])
    return create_app(settings)


if __name__ == "__main__":
    main()
