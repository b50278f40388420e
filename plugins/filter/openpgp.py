"""The fingerprints of a file with OpenPGP keys, so that a repository's key is known without gpg on any host."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator
from typing import Any

PUBLIC_KEY = 6


def packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and body of each packet (RFC 4880, 4.2)."""
    at = 0
    while at < len(data):
        first = data[at]
        if not first & 0x80:
            raise ValueError
        at += 1
        if first & 0x40:
            tag, length, at = first & 0x3F, *_new_length(data, at)
        else:
            tag, size = (first >> 2) & 0x0F, (1, 2, 4)[first & 3]
            length, at = int.from_bytes(data[at : at + size], "big"), at + size
        if at + length > len(data):
            raise ValueError
        yield tag, data[at : at + length]
        at += length


def _new_length(data: bytes, at: int) -> tuple[int, int]:
    first = data[at]
    if first < 192:
        return first, at + 1
    if first < 224:
        return ((first - 192) << 8) + data[at + 1] + 192, at + 2
    if first < 255:
        raise ValueError
    return int.from_bytes(data[at + 1 : at + 5], "big"), at + 5


def openpgp_fingerprints(armored: str) -> list[str]:
    """Fingerprints of the primary keys in an armored block; none where the text is no such block."""
    head, begin, rest = str(armored).partition("-----BEGIN PGP PUBLIC KEY BLOCK-----")
    body, end, tail = rest.partition("-----END PGP PUBLIC KEY BLOCK-----")
    if not begin or not end or "-----BEGIN" in head + tail:
        return []
    lines = body.replace("\r", "").partition("\n\n")[2].split("\n")
    try:
        data = base64.b64decode("".join(line for line in lines if not line.startswith("=")), validate=True)
        keys = [body for tag, body in packets(data) if tag == PUBLIC_KEY]
    except (ValueError, IndexError, binascii.Error):
        return []
    if any(key[:1] != b"\x04" for key in keys):
        return []
    return [
        hashlib.sha1(b"\x99" + len(key).to_bytes(2, "big") + key, usedforsecurity=False).hexdigest().upper()
        for key in keys
    ]


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"openpgp_fingerprints": openpgp_fingerprints}
