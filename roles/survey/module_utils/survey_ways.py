"""What leads to a host and between hosts: keys, tunnels, the tailnet, the firewall; and who watches them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ansible.module_utils.survey_asks import digest, get, said, shown, text
from ansible.module_utils.survey_services import ETC, UNITS

CREDENTIALS = Path("/run/credentials")


def keys() -> dict[str, Any]:
    """Digests that are admitted here, and digests of the keys that are held here; no key."""
    admitted, path = [], ETC / "inference/api_keys"
    for line in text(path).splitlines():
        words = line.split()
        if len(words) == 3 and not words[0].startswith("#"):
            admitted.append(dict(zip(("id", "digest", "created"), words, strict=True)))
    held = {}
    for file in sorted((ETC / "edge/keys").glob("*")):
        if file.is_file() and file.suffix not in {".next", ".part"}:
            started = CREDENTIALS.glob(f"cerebrum-edge@*.service/{file.name}")
            held[file.name] = {"digest": digest(file), "running": sorted({digest(one) for one in started})}
    return {"file": path.exists(), "admitted": admitted, "held": held}


def tunnels() -> dict[str, Any]:
    """The tunnels that begin here, by the inference host that they lead to."""
    found = {}
    for file in sorted((ETC / "tunnel").glob("*.conf")):
        rows = shown(f"cerebrum-tunnel@{file.stem}.service", "ActiveState", "SubState", "StatusText", "NRestarts")
        found[file.stem] = rows[0] if rows else {"ActiveState": "absent"}
    return found


def tailnet() -> dict[str, Any]:
    """What tailscaled says of itself; nothing where there is none."""
    try:
        status = json.loads(said("tailscale", "status", "--json", "--peers=false") or "{}")
    except ValueError:
        return {}
    own = status.get("Self") or {}
    return {"state": status.get("BackendState", ""), "expires": own.get("KeyExpiry", "")} if status else {}


def firewall() -> dict[str, Any]:
    rules = said("nft", "list", "table", "inet", "cerebrum")
    unit = [*shown("cerebrum-firewall.service", "ActiveState", "UnitFileState"), {}][0]
    undo = [*shown("cerebrum-firewall-undo.timer", "ActiveState"), {}][0]
    return {
        "unit": unit.get("ActiveState", "absent"),
        "enabled": unit.get("UnitFileState", "") == "enabled",
        "table": bool(rules),
        "drops": "policy drop" in rules,
        "undo": undo.get("ActiveState") == "active",
    }


def monitoring() -> dict[str, Any]:
    """What Prometheus says, where it watches: who does not answer it, and which alerts there are; nothing elsewhere."""
    found = re.search(r"--web.listen-address=(\S+)", text(UNITS / "prometheus.service.d/cerebrum.conf"))
    if not found:
        return {}
    targets = get(f"http://{found[1]}/api/v1/targets?state=active")
    alerts = get(f"http://{found[1]}/api/v1/alerts") if "answer" in targets else targets
    if "answer" not in alerts:
        return {"problem": alerts.get("problem", "no answer")}
    rows = targets["answer"]["data"]["activeTargets"]
    firing = [row["labels"] for row in alerts["answer"]["data"]["alerts"] if row["state"] == "firing"]
    return {
        "targets": len(rows),
        "down": sorted(
            f"{row['labels']['job']} on {row['labels']['instance']}" for row in rows if row["health"] == "down"
        ),
        "firing": sorted({_named(labels) for labels in firing if labels.get("severity") != "none"}),
    }


def _named(labels: dict[str, str]) -> str:
    return f"{labels['alertname']} ({labels['instance']})" if labels.get("instance") else labels["alertname"]
