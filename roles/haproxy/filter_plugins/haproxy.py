"""What role haproxy decides from its variables. Nothing here asks a host."""

from __future__ import annotations

import csv
import ipaddress
import re
from collections.abc import Callable, Sequence
from typing import Any

Row = dict[str, Any]

OURS = "inference"
_FORCED_DRAIN = 0x08
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PATH = re.compile(r"/[A-Za-z0-9._/-]{0,200}")


def pools_of(servers: Sequence[Row], port: Any, more: Sequence[Row]) -> list[Row]:
    """Every pool in one form: ours, where it has servers, then the others."""
    ours = [{"name": OURS, "port": int(port), "check": "/ready", "servers": list(servers)}] if servers else []
    return ours + [{**row, "port": int(row["port"]), "check": row.get("check") or "/health"} for row in more]


def is_endpoint(text: object) -> bool:
    """Whether it is ADDRESS:PORT, an IPv6 address in brackets. Names would be resolved once, at the start."""
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:]+)\]|([0-9.]+)):([0-9]{1,5})", str(text))
    if not found or not 1 <= int(found[3]) <= 65535:
        return False
    try:
        ipaddress.ip_address(found[1] or found[2])
    except ValueError:
        return False
    return True


def problems(servers: Sequence[Row], port: Any, metrics_port: Any, more: Sequence[Row]) -> list[str]:
    """What is wrong with the pools, in sentences; nothing if they are fine."""
    found = []
    if not servers and not more:
        found.append("haproxy_servers and haproxy_pools are empty; put hosts into the inventory's group `inference`.")
    names: dict[str, str] = {OURS: "haproxy_servers"}
    ports: dict[int, str] = {}
    for number, row in enumerate(more):
        where = f"haproxy_pools entry {number}"
        if not _NAME.fullmatch(str(row["name"])):
            found.append(f"{where} has the name '{row['name']}'; letters, digits, dots and dashes are allowed.")
        if row["name"] in names:
            found.append(f"{where} has the name '{row['name']}', as {names[row['name']]} has; give each its own.")
        names[row["name"]] = where
        if not _PATH.fullmatch(row.get("check") or "/"):
            found.append(f"{where} has check '{row['check']}'; write a path, for example /health.")
        if not row["servers"]:
            found.append(f"{where} has no servers.")
        found += _wrong_servers(f"{where}, servers", row["servers"])
    found += _wrong_servers("haproxy_servers", servers)
    taken = [("haproxy_metrics_port", metrics_port)]
    taken += [("haproxy_port", port)] if servers else []
    taken += [(f"haproxy_pools entry {number}, port", row["port"]) for number, row in enumerate(more)]
    for where, one in taken:
        if not 1024 <= int(one) <= 65535:
            found.append(f"{where} is {one}; 1024 to 65535 are allowed.")
        elif int(one) in ports:
            found.append(f"{where} is {one}, as {ports[int(one)]} is; give each its own.")
        ports[int(one)] = where
    return found


def _wrong_servers(where: str, servers: Sequence[Row]) -> list[str]:
    found, seen = [], set()
    for row in servers:
        name, address = str(row.get("name", "")), row.get("address", "")
        if not _NAME.fullmatch(name):
            found.append(f"{where} has the name '{name}'; letters, digits, dots and dashes are allowed.")
        if name in seen:
            found.append(f"{where} has the name '{name}' twice.")
        seen.add(name)
        if not is_endpoint(address):
            found.append(
                f"{where}: {name} has the address '{address}'; write ADDRESS:PORT, for example 100.64.0.2:9000."
            )
    return found


def mark(said: str) -> str:
    """The digest of the configuration that the running program has, from what `show info` says; '' without one."""
    found = re.search(r"(?m)^description: cerebrum ([0-9a-f]{8})$", said)
    return found[1] if found else ""


def states(said: str) -> list[Row]:
    """The servers in what `show servers state` says."""
    names: list[str] = []
    found = []
    for line in said.splitlines():
        if line.startswith("# be_id "):
            names = line[2:].split()
        elif names and len(words := line.split()) == len(names) and words[0].isdigit():
            found.append(dict(zip(names, words, strict=True)) | {"line": line})
    return found


def drained(said: str) -> str:
    """What a new configuration has to be told of the old one's servers: those that a person drained, nothing else.

    The file's other rows would bring back addresses and checks from before.
    """
    head = next((line for line in said.splitlines() if line.startswith("# be_id ")), "")
    rows = [str(row["line"]) for row in states(said) if int(row["srv_admin_state"]) & _FORCED_DRAIN]
    return "\n".join(["1", head, *rows]) + "\n" if rows else "1\n"


def to_set(said: str, server: str, stage: str) -> list[str]:
    """The pools in which the server has another state than `drain` or `ready`, by what `show servers state` says."""
    wanted = {"drain": True, "ready": False}[stage]
    return [
        str(row["be_name"])
        for row in states(said)
        if row["srv_name"] == server and bool(int(row["srv_admin_state"]) & _FORCED_DRAIN) != wanted
    ]


def sessions(said: str, server: str) -> int:
    """Requests that the server has in all pools, by what `show stat` says; -1 where nothing is said."""
    rows = list(csv.DictReader(said.removeprefix("# ").splitlines()))
    found = [int(row["scur"]) for row in rows if row["svname"] == server]
    return sum(found) if found else -1


class FilterModule:
    """Ansible finds the filters by this name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "haproxy_drained": drained,
            "haproxy_mark": mark,
            "haproxy_pools_of": pools_of,
            "haproxy_problems": problems,
            "haproxy_sessions": sessions,
            "haproxy_states": states,
            "haproxy_to_set": to_set,
        }
