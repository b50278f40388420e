"""What role api_key decides, from what is on the hosts alone: no file is read or written here.

The digests file has a line a key, `id sha256hex created`. A line that the role made for a host has the id
`<label>.<the digest's first 8 digits>`, by which it is told from lines that people added; before there were several
keys a host, the id was the host's name alone. What is for something else than an edge has that before its label, as
`prometheus.pi.0a1b2c3d`: a host may be both, and who settles the ones leaves the others alone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LABEL = 64 - 9  # what an id leaves for the host's name
EDGE = "edge"
OTHERS = ("prometheus",)
_KEY_BYTES = 43  # secrets.token_urlsafe(32)


class Row(NamedTuple):
    id: str
    digest: str
    created: str


def label(holder: str, purpose: str = EDGE) -> str:
    """The host's name as it stands in ids: cut, and told from others that begin alike, where it is too long."""
    name = holder if purpose == EDGE else f"{purpose}.{holder}"
    if len(name) <= _LABEL:
        return name
    return f"{name[: _LABEL - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def rows(text: str) -> list[Row]:
    """The lines that admit a key; to be asked only of a text without problems."""
    words = (line.split() for line in text.splitlines())
    return [Row(*found) for found in words if found and not found[0].startswith("#")]


def problems(text: str) -> list[str]:
    """What the service would not accept, by line; never the line itself, which may be a key."""
    found: list[str] = []
    ids: dict[str, int] = {}
    digests: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 3 or not _ID.fullmatch(words[0]) or not _DIGEST.fullmatch(words[1]):
            found.append(f"line {number} is not `id sha256hex created`")
            continue
        for what, value, seen in (("id", words[0], ids), ("digest", words[1], digests)):
            if value in seen:
                found.append(f"line {number} has the {what} of line {seen[value]}")
            seen.setdefault(value, number)
    return found


def made_for(row: Row, holder: str, purpose: str = EDGE) -> bool:
    return row.id == f"{label(holder, purpose)}.{row.digest[:8]}" or (purpose == EDGE and row.id == holder)


def made_by_role(row: Row) -> bool:
    return row.id.endswith(f".{row.digest[:8]}")


def purpose_of(row: Row) -> str:
    """What a line that the role made is for."""
    word = row.id.partition(".")[0]
    return word if word in OTHERS and made_by_role(row) else EDGE


def checksums(results: list[dict[str, Any]], own: bool = False) -> dict[str, str]:
    """The digest of each host's file, by host; '' for one that is missing or, with `own`, not as we write it."""
    found: dict[str, str] = {}
    for result in results:
        stat = result.get("stat", {})
        good = stat.get("size") == _KEY_BYTES if own else stat.get("size", 0) > 0
        found[result["item"]] = stat.get("checksum", "") if stat.get("isreg", False) and good else ""
    return found


def plan(
    text: str,
    held: dict[str, str],
    waiting: dict[str, str],
    rotate: bool = False,
    cutoff: str = "",
    now: str = "",
    peers: Sequence[str] = (),
    maker: str = "",
    purpose: str = EDGE,
) -> dict[str, dict[str, Any]]:
    """What each holder needs: whether a key is to be made for it, which one that it has is to be admitted, and why.

    In a pool a holder has one key for all hosts. One of them makes it; the others admit what one of them admits.

    Args:
        held: digest of the key in each holder's file, by holder.
        waiting: digest of the key that lies beside it and has not taken its place yet.
        rotate: every holder gets a new key, but one whose last rotation is not over.
        cutoff, now: only keys that were made before the one are rotated, or, by a wrong clock, after the other.
        peers: what the pool's other hosts admit.
        maker: the pool's host that makes its keys, where that is another one.
        purpose: what the keys are for.
    """
    found: dict[str, dict[str, Any]] = {}
    for holder, digest in held.items():
        own = [row for row in rows(text) if made_for(row, holder, purpose)]
        current = next((row for row in own if row.digest == digest), None)
        key = f"key {current.id} ({current.created})" if current else ""
        shared = list(
            dict.fromkeys(row.digest for peer in peers for row in rows(peer) if made_for(row, holder, purpose))
        )
        # All of them: its service may still run with another one than its file holds.
        adopts = shared if current is None and digest in shared else []
        if adopts and not waiting[holder]:
            makes, why = False, "the pool's key is admitted here, too"
        elif maker:
            makes, why = False, f"{key or 'its key'} is made by {maker}, and stays"
        elif waiting[holder]:
            makes, why = False, "an interrupted exchange is completed with the key that was made for it"
        elif current is None and digest:
            makes, why = True, "its key is not admitted: a new one"
        elif current is None:
            makes, why = True, "it has no key: a new one"
        elif rotate and len(own) > 1 and own[-1] == current:
            makes, why = False, f"{key} is new, and its exchange is completed"
        elif rotate and not cutoff:
            makes, why = True, f"{key} gets a successor"
        elif rotate and not cutoff <= current.created <= now:
            makes, why = True, f"{key} is older than asked for and gets a successor"
        else:
            makes, why = False, f"{key} stays"
        found[holder] = {"makes": makes, "adopts": adopts, "why": why}
    return found


def admitted(text: str, keys: dict[str, str | list[str]], now: str, purpose: str = EDGE) -> str:
    """The file's text with these holders' keys, too; added at the end, which is what makes them the newest."""
    lines = text.splitlines()
    known = {row.digest for row in rows(text)}
    for holder, digests in keys.items():
        for digest in [digests] if isinstance(digests, str) else digests:
            if digest and digest not in known:
                lines.append(f"{label(holder, purpose)}.{digest[:8]} {digest} {now}")
    return "".join(f"{line}\n" for line in lines)


def settlement(text: str, held: dict[str, str], running: dict[str, list[str]], purpose: str = EDGE) -> dict[str, Any]:
    """What can be dropped once the holders' services run with what their files hold.

    Args:
        running: digests of the keys that each holder's running instances were started with.
        purpose: what the keys are for; those of another purpose are left alone.

    Returns:
        `holders`: for each, `id` (the held key's), `stale` (ids of its other keys), `moved` (every instance runs with
        the held key); `orphans`: ids that the role made for former holders; `others`: ids that people added.
    """
    holders: dict[str, dict[str, Any]] = {}
    for holder, digest in held.items():
        own = [row for row in rows(text) if made_for(row, holder, purpose)]
        holders[holder] = {
            "id": next((row.id for row in own if row.digest == digest), ""),
            "stale": [row.id for row in own if row.digest != digest],
            "moved": bool(digest) and set(running[holder]) == {digest},
        }
    nobodys = [row for row in rows(text) if not any(made_for(row, holder, purpose) for holder in held)]
    return {
        "holders": holders,
        "orphans": [row.id for row in nobodys if made_by_role(row) and purpose_of(row) == purpose],
        "others": [row.id for row in nobodys if not made_by_role(row) and purpose == EDGE],
    }


def without(text: str, ids: list[str]) -> str:
    """The file's text without the lines of these ids; comments and everything else stay."""
    kept = [line for line in text.splitlines() if not line.split() or line.split()[0] not in ids]
    return "".join(f"{line}\n" for line in kept)


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {
            "api_key_admitted": admitted,
            "api_key_checksums": checksums,
            "api_key_plan": plan,
            "api_key_problems": problems,
            "api_key_settlement": settlement,
            "api_key_without": without,
        }
