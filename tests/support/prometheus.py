"""Debian's Prometheus and what belongs to it, of the versions that the hosts get, as programs and not as services."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

from support.repo import ROOT

_PACKAGES = ("prometheus", "prometheus-alertmanager", "prometheus-node-exporter")


@functools.cache
def program(name: str) -> Path:
    """The path of `prometheus`, `promtool`, `prometheus-node-exporter` and so on; fetched once, the first time."""
    unpacked = subprocess.run(
        [ROOT / "scripts" / "debian_unpack.sh", *_PACKAGES], stdout=subprocess.PIPE, text=True, check=True
    )
    return Path(unpacked.stdout.strip()) / "usr" / "bin" / name


def promtool(*args: str | Path, input: str | None = None) -> subprocess.CompletedProcess[str]:  # noqa: A002  # as subprocess calls it
    """Runs promtool. Whether it was content is for the caller to see: `returncode`, `stdout`, `stderr`."""
    return _run("promtool", args, input)


def amtool(*args: str | Path, input: str | None = None) -> subprocess.CompletedProcess[str]:  # noqa: A002  # as subprocess calls it
    """Runs amtool in the same way."""
    return _run("amtool", args, input)


def _run(name: str, args: tuple[str | Path, ...], given: str | None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program(name), *args], input=given, capture_output=True, text=True, check=False)
