"""`cerebrum top`: from what was given to a source, and from that to one picture or many."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cerebrum_cli.client import EdgeFailure
from cerebrum_cli.screen import Screen
from cerebrum_cli.settings import Target, service_target
from cerebrum_cli.top.endpoint import EDGE, INFERENCE, PROMETHEUS, Endpoint
from cerebrum_cli.top.live import watch
from cerebrum_cli.top.render import render
from cerebrum_cli.top.sources import Pages, Prometheus, Source
from cerebrum_kit.errors import ConfigurationError


def source(
    edge: Target, *, prometheus: str | None, inference: Sequence[str], inference_key_files: Sequence[Path]
) -> Source:
    """What is looked at.

    Raises:
        ConfigurationError: the options do not go together, or an address or a key file cannot be used.
    """
    if prometheus is not None:
        if inference or inference_key_files:
            raise ConfigurationError("--prometheus tells of the inference hosts too; leave --inference out beside it")
        return Prometheus(Endpoint(PROMETHEUS, service_target(prometheus, PROMETHEUS.name)))
    files: list[Path | None] = list(inference_key_files)
    if len(files) > 1 and len(files) != len(inference):
        raise ConfigurationError(
            f"--inference-key-file was given {len(files)} times and --inference {len(inference)} times; "
            "give one file for all of them, or one for each in the same order"
        )
    if files and not inference:
        raise ConfigurationError("--inference-key-file needs the address that the key is for: --inference URL")
    files = files * len(inference) if len(files) == 1 else files or [None] * len(inference)
    hosts = [
        Endpoint(INFERENCE, service_target(url, INFERENCE.name, key_file=file, key_option=INFERENCE.key))
        for url, file in zip(inference, files, strict=True)
    ]
    return Pages(Endpoint(EDGE, edge), hosts)


def show(of: Source, screen: Screen, *, interval: float, once: bool) -> None:
    """One picture where `once`, or where nobody could see a second one; else until a key ends it.

    Raises:
        EdgeFailure: there is nothing to make the only picture of.
    """
    if not once and screen.able.moves:
        watch(of, interval=interval, colour=screen.able.colour)
        return
    look = of.look()
    if look.facts is None:
        raise EdgeFailure("; ".join(look.problems))
    screen.show(render(of.name, look.facts, look.problems))
