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
    """A server that is talked to, and the key that it gets."""

    url: str
    key: str | None


def target(url: str | None, api_key_file: Path | None) -> Target:
    """Options win over `CEREBRUM_URL` and `CEREBRUM_API_KEY_FILE`.

    Raises:
        ConfigurationError: the address or the key file cannot be used.
    """
    file = api_key_file or (Path(path) if (path := os.environ.get("CEREBRUM_API_KEY_FILE")) else None)
    address = url or os.environ.get("CEREBRUM_URL") or DEFAULT_URL
    to = service_target(address, "edge", key_file=file, key_option="--api-key-file")
    # With and without /v1: people paste the address that their editor wants.
    return Target(to.url.removesuffix("/v1"), to.key)


def service_target(url: str, name: str, *, key_file: Path | None = None, key_option: str | None = None) -> Target:
    """A server's address, and its key.

    Args:
        name: of the server, for errors.
        key_option: how its key is given.

    Raises:
        ConfigurationError: the address or the key file cannot be used.
    """
    address = url.rstrip("/")
    whose = f"{'an' if name[0] in 'aeiou' else 'a'} {name}'s address"
    try:
        parsed = httpx.URL(address)
    except httpx.InvalidURL as exc:
        raise ConfigurationError(f"{address!r} is not {whose}: {exc}") from exc
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigurationError(f"{address!r} is not {whose}; write http://HOST:PORT")
    if parsed.userinfo:
        # Addresses are shown and logged; nothing here takes names with passwords.
        how = f" and give the key by {key_option}" if key_option else ""
        raise ConfigurationError(
            f"the {name}'s address must not hold a name or a password; write "
            f"{parsed.scheme}://{parsed.netloc.decode()}{how}"
        )
    return Target(address, read_plain_key(key_file) if key_file else None)
