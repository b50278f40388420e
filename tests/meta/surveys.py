"""What roles survey, status and doctor pass on: a system of one edge and one inference host in which all is well."""

from __future__ import annotations

import copy
from typing import Any

NOW = 1_800_000_000.0
DIGEST = "a" * 64
EDGE = "0.1.0-aaaaaaaaaaaa.00000001"
INFERENCE = "0.1.0-bbbbbbbbbbbb.00000002"


def service(name: str, instance: str, address: str) -> dict[str, Any]:
    unit = f"cerebrum-{name}@{instance}.service"
    release = instance.rpartition(".")[0]
    return {
        "releases": {release: True, "0.0.9-cccccccccccc": True},
        "units": [{"Id": unit, "ActiveState": "active", "StatusText": "ready", "Result": "success", "enabled": True}],
        "socket": {
            "file": True,
            "active": "active",
            "enabled": True,
            "service": unit,
            "listen": [address],
            "bound": [address, "0.0.0.0:22"],
        },
        "instance": instance,
        "answers": {"health": {"status": 200, "answer": {"status": "ok", "uptime": 90_000, "problem": None}}},
    }


def nothing() -> dict[str, Any]:
    """A service that is not on the host."""
    socket = {"file": False, "active": "absent", "enabled": False, "service": "", "listen": [], "bound": []}
    return {"releases": {}, "units": [], "socket": socket, "instance": "", "answers": {}}


def facts() -> dict[str, Any]:
    return {
        "time": NOW,
        "system": {
            "memory": {"total": 4e9, "available": 2e9},
            "disks": [
                {"path": "/", "total": 64e9, "free": 32e9, "inodes": 1000, "inodes_free": 900, "readonly": False}
            ],
            "failed": [],
            "reboot": {"required": False, "packages": []},
            "upgrades": {"audit": [], "errors": [], "timer": "active"},
            "leftovers": [],
        },
        "keys": {"file": False, "admitted": [], "held": {}},
        "firewall": {"unit": "active", "enabled": True, "table": True, "drops": True, "undo": False},
        "tunnels": {},
        "tailnet": {},
        "services": {"edge": nothing(), "inference": nothing()},
        "backends": {},
    }


def host(group: str, found: dict[str, Any]) -> dict[str, Any]:
    outcome = {"facts": found, "problem": "", "kind": "", "asked": [NOW - 0.2, NOW + 0.2]}
    return {"groups": [group], "transport": "ssh_tunnel", "firewall": True, "found": outcome}


def away(group: str, kind: str, problem: str) -> dict[str, Any]:
    row = host(group, {})
    row["found"] |= {"kind": kind, "problem": problem}
    return row


def system() -> dict[str, Any]:
    pi, vps = facts(), facts()
    pi["services"]["edge"] = service("edge", EDGE, "0.0.0.0:7000")
    pi["services"]["edge"]["answers"] |= {
        "stats": {"status": 200, "answer": {"backends": [{"name": "vps", "breaker": {"state": "closed"}}]}},
        "token": {"status": 200, "answer": {"model": "cerebrum-tiny", "inference_time": 0.02}},
    }
    pi["keys"]["held"] = {"vps": {"digest": DIGEST, "running": [DIGEST]}}
    pi["tunnels"] = {
        "vps": {"ActiveState": "active", "StatusText": "127.0.0.1:9000 leads to 127.0.0.1:9000 on vps [0a]"}
    }
    slots = {"status": 200, "answer": {"slots": [{"state": "idle"}, {"state": "decode"}]}}
    models = {
        "status": 200,
        "answer": {"models": [{"id": "cerebrum-tiny", "loaded": True}, {"id": "big", "loaded": False}]},
    }
    pi["backends"] = {"vps": {"url": "http://127.0.0.1:9000", "slots": slots, "models": models}}
    vps["services"]["inference"] = service("inference", INFERENCE, "127.0.0.1:9000")
    vps["keys"] |= {
        "file": True,
        "admitted": [{"id": "pi.aaaaaaaa", "digest": DIGEST, "created": "2027-01-12T00:00:00Z"}],
    }
    return copy.deepcopy({"pi": host("edge", pi), "vps": host("inference", vps)})
