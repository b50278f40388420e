"""`cerebrum-inference`"""

from __future__ import annotations

from typing import NoReturn

from cerebrum_inference.app import create_app
from cerebrum_inference.settings import InferenceSettings
from cerebrum_kit.main import serve
from cerebrum_kit.server import ServerOptions


def main() -> NoReturn:
    serve(
        "inference",
        InferenceSettings,
        create_app,
        lambda settings: ServerOptions(settings.host, settings.port, settings.drain_seconds),
    )


if __name__ == "__main__":
    main()
