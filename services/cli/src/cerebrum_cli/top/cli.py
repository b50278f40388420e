"""The words of `cerebrum top`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cerebrum_cli.options import Given, KeyFile, Url
from cerebrum_cli.screen import standard_screen
from cerebrum_cli.settings import target


def top(
    context: typer.Context,
    prometheus: Annotated[
        str | None,
        typer.Option("--prometheus", help="A Prometheus that watches Cerebrum, in place of the services themselves."),
    ] = None,
    inference: Annotated[
        list[str] | None, typer.Option("--inference", help="An inference host to look at too; may be given again.")
    ] = None,
    inference_key_file: Annotated[
        list[Path] | None,
        typer.Option("--inference-key-file", help="A file with its key; one for all, or one for each --inference."),
    ] = None,
    interval: Annotated[float, typer.Option("--interval", min=0.2, max=60, help="Seconds between looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="One picture, as into a pipe.")] = False,
    url: Url = None,
    api_key_file: KeyFile = None,
) -> None:
    """Show how the system does, now and over the last minute, until `q`."""
    # Loaded for this command only: on a small machine that takes a while.
    from cerebrum_cli.top import command

    given: Given = context.obj
    of = command.source(
        target(url or given.url, api_key_file or given.api_key_file),
        prometheus=prometheus,
        inference=inference or (),
        inference_key_files=inference_key_file or (),
    )
    command.show(of, standard_screen(), interval=interval, once=once)
