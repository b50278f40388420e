"""Where the services of one user on one machine find each other when nobody configured them."""

from __future__ import annotations

import os
from pathlib import Path


def local_state() -> Path:
    """`$XDG_STATE_HOME/cerebrum`, by default `~/.local/state/cerebrum`."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "cerebrum"


def local_key_file() -> Path:
    """The plain key that an unconfigured inference service makes and an unconfigured edge presents."""
    return local_state() / "inference-key"
