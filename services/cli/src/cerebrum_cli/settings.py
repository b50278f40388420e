"""What the client is told by its environment (`CEREBRUM_*`) and its options."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import httpx

from cerebrum_kit.errors import ConfigurationError
from cerebrum_kit.keys import read_plain_key

DEFAULT_URL = "http://127.0.0.1:7000"


@dataclass(frozen=True, slots=True)
class Target:
    """The edge that is talked to."""

    url: str
    key: str | None


def target(url: str | None, api_key_file: Path | None) -> Target:
    """Options win over `CEREBRUM_URL` and `CEREBRUM_API_KEY_FILE`.

    Raises:
        ConfigurationError: the address or the key file cannot be used.
    """
    file = api_key_file or (Path(path) if (path := os.environ.get("CEREBRUM_API_KEY_FILE")) else None)
    address = (url or os.environ.get("CEREBRUM_URL") or DEFAULT_URL).rstrip("/")
    try:
        parsed = httpx.URL(address)
    except httpx.InvalidURL as exc:
        raise ConfigurationError(f"{address!r} is not an edge's address: {exc}") from exc
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigurationError(f"{address!r} is not an edge's address; write http://HOST:PORT")
    if parsed.userinfo:
        # Addresses are shown and logged; the edge takes keys, not names with passwords.
        raise ConfigurationError(
            f"the edge's address must not hold a name or a password; write {parsed.scheme}://{parsed.netloc.decode()} "
            "and give the key by --api-key-file"
        )
    # With and without /v1: people paste the address that their editor wants.
    return Target(address.removesuffix("/v1"), read_plain_key(file) if file else None)
