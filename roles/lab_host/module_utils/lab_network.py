"""A lab's network: a bridge with a subnet of its own, and a cable to every host's network namespace."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import shutil
from pathlib import Path
from typing import Any

from ansible.module_utils.lab_names import Failure, Lab, links, namespaces, run

Network = ipaddress.IPv4Network
POOL = Network("10.213.0.0/16")
MTU_FALLBACK = 1400
GATEWAY_HOST = 1
FORWARDING_WAS_OFF = ".forwarding-was-off"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def choose_subnet(lab: Lab) -> str:
    """The subnet that the lab has, or a free one; the id decides where the search begins."""
    known = lab.read().get("subnet")
    if isinstance(known, str):
        return known
    taken = set()
    for file in lab.root.glob("*/lab.json"):
        with contextlib.suppress(json.JSONDecodeError, OSError):
            taken.add(json.loads(file.read_text(encoding="utf-8")).get("subnet"))
    routed: list[Network] = [
        Network(row["dst"]) for row in json.loads(run("ip", "-j", "route").stdout) if row["dst"] != "default"
    ]
    subnets = list(POOL.subnets(new_prefix=24))
    begin = int(lab.id, 16) % len(subnets)
    for subnet in subnets[begin:] + subnets[:begin]:
        if str(subnet) not in taken and not any(subnet.overlaps(other) for other in routed):
            return str(subnet)
    raise Failure(f"no /24 of {POOL} is free for another lab")


def subnet6(lab: Lab) -> ipaddress.IPv6Network:
    """A unique local /64 that the lab's id names: nobody routes it, so none has to be looked for."""
    return ipaddress.IPv6Network(f"fdcb:{lab.id[:4]}:{lab.id[4:]}::/64")


def address6(lab: Lab, address: str) -> str:
    """A host's IPv6 address ends as its IPv4 address does."""
    return str(subnet6(lab)[int(address.rsplit(".", 1)[1])])


def has_address(present: dict[str, Any] | None, address: str) -> bool:
    return present is not None and any(row.get("local") == address for row in present["addr_info"])


def uplink_mtu() -> int:
    """The MTU towards the world: a bridge that promises more than the uplink carries stalls large answers."""
    for row in json.loads(run("ip", "-j", "route", "show", "default").stdout or "[]"):
        link = links().get(row.get("dev", ""))
        if link:
            return int(link["mtu"])
    return MTU_FALLBACK


def make_network(lab: Lab, subnet: str) -> bool:
    changed, gateway = False, f"{Network(subnet)[1]}/24"
    present = links().get(lab.bridge)
    if present is None:
        run("ip", "link", "add", lab.bridge, "mtu", str(uplink_mtu()), "address", lab.mac(""), "type", "bridge")
        changed = True
    if not has_address(present, gateway[:-3]):
        run("ip", "addr", "add", gateway, "dev", lab.bridge)
        changed = True
    gateway6 = str(subnet6(lab)[GATEWAY_HOST])
    if not has_address(present, gateway6):
        # Without the search for duplicates, which leaves an address useless for its first second or two.
        run("ip", "addr", "add", f"{gateway6}/64", "dev", lab.bridge, "nodad")
        changed = True
    if present is None or "UP" not in present["flags"]:
        run("ip", "link", "set", lab.bridge, "up")
        changed = True
    if run("nft", "list", "table", "ip", lab.table, check=False).returncode != 0:
        run(
            "nft",
            "-f",
            "-",
            stdin=f"""
            table ip {lab.table} {{
                chain postrouting {{
                    type nat hook postrouting priority srcnat; policy accept;
                    ip saddr {subnet} oifname != "{lab.bridge}" masquerade
                }}
            }}
        """,
        )
        changed = True
    forward = Path("/proc/sys/net/ipv4/ip_forward")
    if forward.read_text().strip() != "1":
        (lab.root / FORWARDING_WAS_OFF).write_text(BOOT_ID.read_text())
        forward.write_text("1\n")
        changed = True
    return changed


def restore_forwarding(lab: Lab) -> None:
    """IP forwarding is off again where a lab had turned it on since this boot; later, somebody else may need it."""
    mark = lab.root / FORWARDING_WAS_OFF
    if mark.exists():
        if mark.read_text() == BOOT_ID.read_text():
            Path("/proc/sys/net/ipv4/ip_forward").write_text("0\n")
        mark.unlink()


def remove_network(lab: Lab) -> bool:
    changed = False
    if lab.bridge in links():
        run("ip", "link", "del", lab.bridge)
        changed = True
    if shutil.which("nft") and run("nft", "list", "table", "ip", lab.table, check=False).returncode == 0:
        run("nft", "delete", "table", "ip", lab.table)
        changed = True
    return changed


def make_wire(lab: Lab, host: str, address: str, gateway: str) -> bool:
    """The host's network namespace and its cable to the bridge; each step is taken where it is not taken yet."""
    name, veth, changed = lab.namespace(host), lab.veth(host), False
    if name not in namespaces():
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
        changed = True
    link = links().get(veth)
    if link is None:
        mtu = str(uplink_mtu())
        peer = ("name", "host0", "mtu", mtu, "address", lab.mac(host), "netns", name)
        run("ip", "link", "add", veth, "mtu", mtu, "type", "veth", "peer", *peer)
        changed = True
    if link is None or link.get("master") != lab.bridge:
        run("ip", "link", "set", veth, "master", lab.bridge, "up")
        changed = True
    wire: dict[str, Any] = json.loads(run("ip", "-n", name, "-j", "addr", "show", "dev", "host0").stdout)[0]
    for one, options in ((f"{address}/24", []), (f"{address6(lab, address)}/64", ["nodad"])):
        if not has_address(wire, one.partition("/")[0]):
            run("ip", "-n", name, "addr", "add", one, "dev", "host0", *options)
            changed = True
    if not run("ip", "-n", name, "route", "show", "default").stdout:
        run("ip", "-n", name, "link", "set", "host0", "up")
        run("ip", "-n", name, "route", "add", "default", "via", gateway)
        changed = True
    return changed


def remove_wire(lab: Lab, host: str) -> bool:
    changed = False
    if lab.veth(host) in links():
        run("ip", "link", "del", lab.veth(host))
        changed = True
    if lab.namespace(host) in namespaces():
        run("ip", "netns", "del", lab.namespace(host))
        changed = True
    return changed
