"""Cerebrum's services on a host: releases, units, sockets, settings, and what they answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible.module_utils.survey_asks import get, said, shown, text

OPT = Path("/opt/cerebrum")
ETC = Path("/etc/cerebrum")
UNITS = Path("/etc/systemd/system")
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 (what a socket's file says is read, nothing is bound)


def service(name: str) -> dict[str, Any]:
    """A service's files and units."""
    socket = f"cerebrum-{name}.socket"
    file = text(UNITS / socket)
    enabled = {path.name for path in UNITS.glob(f"*.wants/cerebrum-{name}*")}
    units = shown(f"cerebrum-{name}@*.service", "ActiveState", "SubState", "StatusText", "Result", "NRestarts")
    known = {unit["Id"] for unit in units}
    # An enabled unit that systemd has not loaded is one that was stopped, or never started.
    units += [{"Id": one, "ActiveState": "inactive"} for one in sorted(enabled - known - {socket})]
    listening = said("ss", "-Htln").split("\n")
    listen = [line.partition("=")[2] for line in file.splitlines() if line.startswith("ListenStream=")]
    return {
        "releases": {path.name: (path / ".complete").exists() for path in (OPT / name).glob("releases/*")},
        "units": [{**unit, "enabled": unit["Id"] in enabled} for unit in units],
        "socket": {
            "file": bool(file),
            "active": next((row["ActiveState"] for row in shown(socket, "ActiveState")), "absent"),
            "enabled": socket in enabled,
            "service": next((line[8:] for line in file.splitlines() if line.startswith("Service=")), ""),
            "listen": listen,
            "bound": sorted({line.split()[3] for line in listening if len(line.split()) > 3}),
        },
    }


def running(found: dict[str, Any]) -> str:
    """The instance that a service's active unit names: a release with a configuration."""
    names = [unit["Id"] for unit in found["units"] if unit.get("ActiveState") == "active"]
    return names[0].partition("@")[2].removesuffix(".service") if names else ""


def settings(name: str, instance: str) -> dict[str, str]:
    """What the running instance was started with; nothing of it is secret."""
    lines = [line.partition("=") for line in text(ETC / name / f"{instance}.env").splitlines() if line[:1] != "#"]
    return {key: value.strip("'") for key, _, value in lines}


def asked(name: str, found: dict[str, Any], key: str, deep: bool) -> dict[str, Any]:
    """What the service answers; only its health is for everybody, an edge's other routes may take a client's key.

    Args:
        deep: also lets the edge try its way to each backend, and generate a token.
    """
    if not found["socket"]["listen"]:
        return {}
    host, _, port = found["socket"]["listen"][0].rpartition(":")
    url = f"http://{_ANYWHERE.get(host, host)}:{port}"
    answers = {"health": get(f"{url}/health")}
    if name == "edge" and "answer" in answers["health"]:
        answers["stats"] = get(f"{url}/v1/stats", key)
        if deep:
            answers["doctor"] = get(f"{url}/v1/doctor", key)
            prompt = {"prompt": "def f():", "max_tokens": 1, "temperature": 0, "condense": "off"}
            answers["token"] = get(f"{url}/v1/complete", key, prompt)
    return answers


def backends(env: dict[str, str]) -> dict[str, Any]:
    """What inference hosts say to an edge's own key: asked here, where the key is, and by no command that shows it."""
    found = {}
    for row in _rows(env.get("CEREBRUM_EDGE_BACKENDS", "")):
        url, key = row["url"].rstrip("/"), text(Path(row.get("api_key_file", "/nonexistent"))).strip()
        slots = get(f"{url}/v1/slots", key)
        models = get(f"{url}/v1/models", key) if "answer" in slots else slots
        found[row["name"]] = {"url": url, "slots": slots, "models": models}
    return found


def _rows(value: str) -> list[dict[str, Any]]:
    try:
        rows = json.loads(value)
    except ValueError:
        return []
    return [row for row in rows if isinstance(row, dict) and "name" in row and "url" in row]
