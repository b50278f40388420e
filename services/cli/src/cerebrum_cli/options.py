"""Options that every command has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

Url = Annotated[str | None, typer.Option("--url", help="The edge; also CEREBRUM_URL. Default http://127.0.0.1:7000.")]
KeyFile = Annotated[
    Path | None, typer.Option("--api-key-file", help="A file with the edge's key; also CEREBRUM_API_KEY_FILE.")
]


@dataclass(frozen=True, slots=True)
class Given:
    """What stands before the subcommand, and counts where the subcommand does not say otherwise."""

    url: str | None
    api_key_file: Path | None
