"""`cerebrum-edge`"""

from __future__ import annotations

from typing import NoReturn

from cerebrum_edge.app import create_app
from cerebrum_edge.settings import EdgeSettings
from cerebrum_kit.main import serve


def main() -> NoReturn:
    serve("edge", EdgeSettings, create_app)


if __name__ == "__main__":
    main()
