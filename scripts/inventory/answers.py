"""What a site is made of, and what of it is accepted. Decides only: nothing here asks, reads or writes."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from scripts.inventory.catalogue import Model

TRANSPORTS = ("ssh_tunnel", "tailscale", "direct")
ACCELERATORS = ("none", "vulkan", "cuda")
ACCESS = ("key", "open")
TAKEN = ("example", "lab")


class Refused(ValueError):
    """An answer cannot be taken; the message says what was given and what is allowed."""


@dataclass(frozen=True, slots=True)
class Host:
    """A machine. `port` is sshd's, where it is not 22."""

    name: str
    user: str
    address: str
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """A site.

    Attributes:
        addresses: with transport `direct`, where each inference host listens.
        clients: networks that may use the edge; none for the role's default, every private one.
        edge_open: whoever reaches the edge may use it; else a key is made.
    """

    name: str
    edges: tuple[Host, ...]
    inference: tuple[Host, ...]
    transport: str = "ssh_tunnel"
    addresses: tuple[str, ...] = ()
    login_server: str = ""
    models: tuple[str, ...] = ("cerebrum-tiny",)
    accelerator: str = "none"
    edge_open: bool = False
    clients: tuple[str, ...] = ()
    edge_port: int = 7000

    @property
    def edge_names(self) -> tuple[str, ...]:
        """Of the edges' addresses those that are names: a service answers to its own name, not to any."""
        return tuple(host.address for host in self.edges if not _is_ip(host.address))


def site_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}", text):
        raise Refused(
            f"NAME is {text!r}: it becomes a folder below inventories/; letters (a to z), digits, dashes and "
            "underscores are allowed, 40 at most."
        )
    if text in TAKEN:
        raise Refused(f"NAME is {text!r}, which comes with the repository. Take another, for example home.")
    return text


def hosts(text: str, prefix: str) -> tuple[Host, ...]:
    """`[NAME=]USER@ADDRESS[:PORT]` between commas. Those without a name are called `prefix`, `prefix2` and so on."""
    parts = _parts(text)
    if not parts:
        raise Refused("At least one host is needed, as USER@ADDRESS, for example pi@192.168.1.20.")
    found = []
    for number, part in enumerate(parts, 1):
        name, equals, rest = part.rpartition("=")
        found.append(_host(name if equals else f"{prefix}{number if number > 1 else ''}", rest, part))
    _each_once([host.name for host in found], "the name")
    _each_once([host.address for host in found], "the address")
    return tuple(found)


def _host(name: str, rest: str, given: str) -> Host:
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name) or name in {
        "all",
        "edge",
        "inference",
        "ungrouped",
    }:
        raise Refused(
            f"{given!r} names a host {name!r}: lower-case letters, digits and dashes are allowed, but no group's name."
        )
    user, at, where = rest.rpartition("@")
    if not at:
        raise Refused(f"{given!r} has no user: write USER@ADDRESS, for example pi@192.168.1.20.")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9._-]{0,31}", user):
        raise Refused(f"{given!r} has user {user!r}, which no Debian host has: letters (a to z), digits, dots, dashes.")
    address, port = _address_and_port(where, given)
    return Host(name, user, address, port)


def _address_and_port(where: str, given: str) -> tuple[str, int | None]:
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::(.*))?", where)
    if bracketed:
        address, number = bracketed[1], bracketed[2]
    elif where.count(":") > 1:
        address, number = where, None  # IPv6, which has a port only in brackets
    else:
        address, colon, tail = where.partition(":")
        number = tail if colon else None
    return machine(address, given), None if number is None else port(number)


def machine(text: str, given: str = "") -> str:
    """An IP address or a DNS name."""
    shown = given or text
    if re.fullmatch(r"[0-9.]+", text) or ":" in text:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            raise Refused(f"{shown!r} has address {text!r}, which is no IP address.") from None
        if address.is_unspecified or address.is_multicast:
            raise Refused(f"{shown!r} has address {text!r}, which is no single host's.")
        return str(address)
    label = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    if len(text) > 253 or not re.fullmatch(rf"{label}(\.{label})*", text):
        hint = "" if text.isascii() else " Names with other letters are written in their xn-- form."
        raise Refused(f"{shown!r} has address {text!r}, which is neither an IP address nor a host's name.{hint}")
    return text


def port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise Refused(f"The port is {text!r}; 1 to 65535 are allowed.")
    return int(text)


def choice(text: str, allowed: Sequence[str], what: str) -> str:
    if text not in allowed:
        raise Refused(f"{what} is {text!r}; allowed are {', '.join(allowed)}.")
    return text


def private_addresses(text: str) -> tuple[str, ...]:
    """Where inference hosts listen: never everywhere."""
    found = []
    for part in _parts(text):
        try:
            address = ipaddress.ip_address(part)
        except ValueError:
            raise Refused(f"{part!r} is no IP address.") from None
        if address.is_unspecified:
            raise Refused(f"{part!r} is every address of the host, which would show the service to the internet.")
        if address.is_global:
            raise Refused(
                f"{part!r} is an address in the internet, where prompts and keys would travel as they are. Take "
                "ssh_tunnel or tailscale, or an address in a network of your own."
            )
        found.append(str(address))
    if not found:
        raise Refused("An address for each inference host is needed, which the edge can reach and the internet cannot.")
    return tuple(found)


def networks(text: str) -> tuple[str, ...]:
    """Networks between commas; `private` stands for every private one, which is the firewall's default."""
    if text.strip() == "private":
        return ()
    found = []
    for part in _parts(text):
        try:
            found.append(str(ipaddress.ip_network(part)))
        except ValueError as exc:
            nearest = _without_host_bits(part)
            raise Refused(
                f"{part!r} is no network ({exc}); write {nearest or '192.168.1.0/24'}, or private for all of those."
            ) from None
    if not found:
        raise Refused("No network is given; write for example 192.168.1.0/24, or private for every private network.")
    _each_once(found, "the network")
    return tuple(found)


def _without_host_bits(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        return ""


def models(text: str, known: Sequence[Model]) -> tuple[str, ...]:
    ids = [model.id for model in known]
    found = tuple(_parts(text))
    unknown = [one for one in found if one not in ids]
    if unknown or not found:
        raise Refused(f"Models are {', '.join(map(repr, unknown)) or 'none'}; known are {', '.join(ids)}.")
    _each_once(found, "the model")
    return found


def login_server(text: str) -> str:
    """Empty for Tailscale's own. As role tailscale takes it: without a path."""
    if text and not re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]+", text):
        raise Refused(f"The login server is {text!r}; write https://headscale.example.org, without a slash at its end.")
    try:
        _ = urlsplit(text).port
    except ValueError:
        raise Refused(f"The login server is {text!r}, whose port is none.") from None
    return text


def secret(text: str, what: str) -> str:
    """A key of somebody's; empty for none. It is in no message."""
    found = text.strip(" \r\n")
    if not re.fullmatch(r"[A-Za-z0-9_.:%?&=/+~-]*", found):
        why = "a line break" if "\n" in found or "\r" in found else "characters"
        raise Refused(f"{what} has {why} in it that no key has. It is not shown; copy it again, without quotes.")
    return found


def password(text: str) -> str:
    if "\n" in text or "\r" in text or text != text.strip():
        raise Refused(
            "The password begins or ends with a blank, or has a line break; ansible-vault would not take it back."
        )
    if len(text) < 8:
        raise Refused("The password has fewer than 8 characters.")
    return text


def joined(name: str, given: Mapping[str, Any]) -> Answers:
    """All answers together, and what they say of each other.

    Raises:
        Refused: each of them is fine and they do not go together.
    """
    edges = tuple(given["edges"])
    ours = {(host.user, host.address, host.port): host for host in edges}
    inference = tuple(ours.get((host.user, host.address, host.port), host) for host in given["inference"])
    machines = list(dict.fromkeys([*edges, *inference]))
    _each_once([host.name for host in machines], "the name")
    _each_once([host.address for host in machines], "the address")
    answers = replace(Answers(name, edges, inference), **{**given, "edges": edges, "inference": inference})
    both = sorted({host.name for host in edges} & {host.name for host in inference})
    if both and answers.transport == "ssh_tunnel":
        raise Refused(
            f"{', '.join(both)} is an edge and an inference host, and ssh_tunnel joins two. Take direct, with address "
            "127.0.0.1 if it is the only host, or tailscale."
        )
    if answers.transport == "direct" and len(answers.addresses) != len(inference):
        raise Refused(
            f"With direct each inference host has an address of its own: {len(inference)} hosts, "
            f"{len(answers.addresses)} addresses."
        )
    for host, address in zip(inference, answers.addresses, strict=False):
        if ipaddress.ip_address(address).is_loopback and host not in edges:
            raise Refused(f"{address} is each host's own, and no edge reaches {host.name} by it.")
    if answers.transport != "direct" and answers.addresses:
        raise Refused(f"Addresses of inference hosts are for direct; with {answers.transport} they are found out.")
    if answers.transport != "tailscale" and answers.login_server:
        raise Refused(f"A login server is for tailscale; the transport is {answers.transport}.")
    return answers


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _each_once(found: Sequence[str], what: str) -> None:
    if twice := sorted({one for one in found if found.count(one) > 1}):
        raise Refused(f"{', '.join(twice)} is {what} of two; give each once.")
