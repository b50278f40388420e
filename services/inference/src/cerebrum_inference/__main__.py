"""`cerebrum-inference`"""

from __future__ import annotations

from typing import NoReturn

from cerebrum_inference.app import create_app
from cerebrum_inference.settings import InferenceSettings
from cerebrum_kit.main import serve


def main() -> NoReturn:
    serve("inference", InferenceSettings, create_app)


if __name__ == "__main__":
    main()
