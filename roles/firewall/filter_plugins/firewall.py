"""What is let in, written as nftables rules, and whom that would cut off. Decides only: nothing here asks a host."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Grant = dict[str, Any]

TAILNET = "tailscale0"
WIREGUARD_OF_TAILSCALE = 41641
# Linux chooses ports from here on for who asks for none: a UDP socket there waits for answers, and those are let in.
CHOSEN_BY_KERNEL = range(32768, 61000)
# What a Debian host or a Raspberry Pi comes with and nobody outside has to reach, or the rules let in for everyone.
NOBODYS = {
    "68/udp": "DHCP", "546/udp": "DHCPv6", "5353/udp": "multicast DNS", "5355/udp": "LLMNR", "5355/tcp": "LLMNR",
    "123/udp": "a client of NTP", "111/tcp": "portmapper", "111/udp": "portmapper",
}  # fmt: skip
NOBODYS_PROCESSES = {"tailscaled"}  # its peers come by tailscale0, and what it opens for them is not needed


def port_range(text: object) -> tuple[int, int] | None:
    """First and last port of `8123` or `8000-8010`; nothing if it is neither."""
    found = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", str(text))
    if not found:
        return None
    first, last = int(found[1]), int(found[2] or found[1])
    return (first, last) if 1 <= first <= last <= 65535 else None


def is_network(text: object) -> bool:
    try:
        ipaddress.ip_network(str(text))
    except ValueError:
        return False
    return True


def problems(
    allow: Sequence[Grant],
    clients: Mapping[str, Sequence[str]],
    ssh_ports: Sequence[object],
    cut: Sequence[str],
) -> list[str]:
    """What is wrong with the variables, in sentences; nothing if they are fine. Lists of clients come by variable."""
    found = []
    for index, row in enumerate(allow):
        name = f"firewall_allow entry {index}"
        if port_range(row.get("port")) is None:
            found.append(f"{name} has port {row.get('port')}: write 1 to 65535, or a range such as 8000-8010.")
        if row.get("protocol", "tcp") not in {"tcp", "udp"}:
            found.append(f"{name} has protocol {row['protocol']}: write tcp or udp.")
        if not re.fullmatch(r"[A-Za-z0-9._@-]{0,15}", str(row.get("interface") or "")):
            found.append(
                f"{name} has interface {row['interface']}: an interface's name has at most 15 letters and digits."
            )
        if not re.fullmatch(r"[^\"\\\x00-\x1f]{0,80}", str(row.get("comment") or "")):
            found.append(
                f"{name} has a comment with quotes, backslashes or line ends, or with more than 80 characters."
            )
        found += _wrong_networks(f"{name}, from", row.get("from") or [])
        if unknown := sorted(set(row) - {"port", "protocol", "from", "interface", "comment"}):
            found.append(f"{name} has {', '.join(unknown)}: known are port, protocol, from, interface, comment.")
    for name, networks in clients.items():
        found += _wrong_networks(name, networks)
    for port in ssh_ports:
        if port_range(port) is None or "-" in str(port):
            found.append(f"firewall_ssh_ports has {port}: write 1 to 65535.")
    for text in cut:
        port, _, protocol = str(text).partition("/")
        if port_range(port) is None or "-" in port or protocol not in {"tcp", "udp"}:
            found.append(f"firewall_cut has {text}: write PORT/tcp or PORT/udp, for example 5353/udp.")
    return found


def _wrong_networks(name: str, networks: Sequence[str]) -> list[str]:
    return [
        f"{name}: {one} is no network; write an address or a prefix with no bits behind it, for example 192.168.1.0/24."
        for one in networks
        if not is_network(one)
    ]


def grants(
    allow: Sequence[Grant],
    carries: Sequence[str],
    transport: str,
    ports: dict[str, int],
    clients: dict[str, Sequence[str]],
) -> list[Grant]:
    """What a host lets in for what it carries, then what its owner allows.

    Args:
        clients: networks that may use each service; `monitors` are the addresses of hosts that ask all of them.
    """
    found: list[Grant] = []
    # Nobody is admitted by an empty list of networks; in a rule, it would be everybody.
    if "edge" in carries and clients["edge"]:
        found.append(_grant(ports["edge"], sources=clients["edge"], comment="edge"))
    if "inference" in carries and transport == "direct" and clients["inference"]:
        found.append(_grant(ports["inference"], sources=clients["inference"], comment="inference"))
    if "haproxy" in carries and transport != "tailscale" and clients["haproxy"]:
        found.append(_grant(ports["haproxy"], sources=clients["haproxy"], comment="haproxy"))
    found += [
        _grant(ports[service], interface=TAILNET, comment=service)
        for service in ("inference", "haproxy", "node")
        if service in carries and transport == "tailscale"
    ]
    # Whoever may use the services, the monitoring host may ask them; those behind a tunnel are asked through it.
    found += [
        _grant(ports[service], sources=clients["monitors"], comment=f"{service}: monitoring")
        for service in ("edge", "inference", "node")
        if service in carries and clients.get("monitors") and (service != "inference" or transport == "direct")
    ]
    if transport == "tailscale":
        found.append(_grant(WIREGUARD_OF_TAILSCALE, protocol="udp", comment="tailscale: direct paths"))
    return found + [
        _grant(
            row["port"],
            protocol=row.get("protocol") or "tcp",
            sources=row.get("from") or [],
            interface=row.get("interface") or "",
            comment=row.get("comment") or "firewall_allow",
        )
        for row in allow
    ]


def _grant(
    port: object, *, protocol: str = "tcp", sources: Sequence[str] = (), interface: str = "", comment: str
) -> Grant:
    return {
        "port": str(port), "protocol": protocol, "from": list(sources), "interface": interface, "comment": comment
    }  # fmt: skip


def lines(granted: Sequence[Grant]) -> list[str]:
    """The grants as nftables rules; one for each family that the sources have."""
    found = []
    for row in granted:
        heads = [""]
        if row["from"]:
            networks = [ipaddress.ip_network(one) for one in row["from"]]
            heads = [
                f"{word} saddr {{ {', '.join(str(one) for one in ours)} }} "
                for word, version in (("ip", 4), ("ip6", 6))
                if (ours := list(_collapsed(networks, version)))
            ]
        if row["interface"]:
            heads = [f'iifname "{row["interface"]}" {head}' for head in heads]
        tail = f'{row["protocol"]} dport {row["port"]} counter accept comment "{row["comment"]}"'
        found += [head + tail for head in heads]
    return found


def _collapsed(networks: Sequence[Any], version: int) -> list[Any]:
    """Networks of one family, none within another: nftables refuses intervals that overlap."""
    return list(ipaddress.collapse_addresses(one for one in networks if one.version == version))


def sources(listings: Sequence[str]) -> list[str]:
    """The addresses from which hosts call, from what `ip -j addr` says on each of them.

    An address that the host chose by itself from a router's prefix changes by the day, so that prefix stands for it.
    """
    found = set()
    for listing in listings:
        for link in json.loads(listing or "[]"):
            for row in link.get("addr_info", []):
                address = ipaddress.ip_interface(f"{row['local']}/{row['prefixlen']}")
                if address.ip.is_loopback or address.ip.is_link_local:
                    continue
                changing = address.version == 6 and row.get("dynamic", False)
                found.add(str(address.network if changing else address.ip))
    return sorted(found)


def listeners(text: str) -> list[dict[str, Any]]:
    """The sockets in the output of `ss -Htulpn`."""
    found = []
    for line in text.splitlines():
        words = line.split(maxsplit=6)
        if len(words) < 6 or words[0] not in {"tcp", "udp"}:
            continue
        address, _, port = words[4].rpartition(":")
        address = address.partition("%")[0].strip("[]")
        process = re.search(r'users:\(\("([^"]+)"', line)
        found.append(
            {"protocol": words[0], "address": address, "port": int(port), "process": process[1] if process else ""}
        )
    return found


def unadmitted(
    text: str, granted: Sequence[Grant], ssh_ports: Sequence[int], cut: Sequence[str]
) -> list[dict[str, Any]]:
    """Sockets that others can reach now and could not any more, a row for each port."""
    found: dict[str, dict[str, Any]] = {}
    for one in listeners(text):
        name = f"{one['port']}/{one['protocol']}"
        admitted = any(_admits(row, one) for row in granted) or (one["protocol"] == "tcp" and one["port"] in ssh_ports)
        waits = one["protocol"] == "udp" and one["port"] in CHOSEN_BY_KERNEL and one["process"]
        if admitted or waits or name in cut or name in NOBODYS or one["process"] in NOBODYS_PROCESSES:
            continue
        if not _only_local(one["address"]):
            row = found.setdefault(name, {**one, "process": one["process"] or "the kernel", "addresses": []})
            row["addresses"].append(one["address"])
    return [found[name] for name in sorted(found, key=lambda name: (found[name]["port"], name))]


def _admits(row: Grant, listener: dict[str, Any]) -> bool:
    ports = port_range(row["port"])
    return ports is not None and row["protocol"] == listener["protocol"] and ports[0] <= listener["port"] <= ports[1]


def _only_local(address: str) -> bool:
    if address == "*":
        return False
    found = ipaddress.ip_address(address)
    mapped = found.ipv4_mapped if found.version == 6 else None  # ::ffff:127.0.0.1, as Java and others bind it
    return (mapped or found).is_loopback


class FilterModule:
    """Ansible finds the filters by this name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "firewall_problems": problems,
            "firewall_grants": grants,
            "firewall_lines": lines,
            "firewall_sources": sources,
            "firewall_unadmitted": unadmitted,
        }
