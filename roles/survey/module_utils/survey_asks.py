"""How a host is asked: its commands, its files, and its services over HTTP. Nothing here changes anything."""

from __future__ import annotations

import hashlib
import json
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

SECONDS = 8.0


def said(*argv: str) -> str:
    """What a command prints; nothing, where there is no such command or it fails."""
    return tried(*argv)[1]


def tried(*argv: str) -> tuple[int, str]:
    """A command's exit code and what it prints; -1 where there is no such command."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return -1, ""
    return done.returncode, done.stdout if done.returncode == 0 else ""


def shown(pattern: str, *properties: str) -> list[dict[str, str]]:
    """Properties of the units that systemd has loaded under a name or a pattern."""
    wanted = ",".join(properties)
    blocks = (
        said("systemctl", "show", "--all", f"--property=Id,LoadState,{wanted}", "--", pattern).strip().split("\n\n")
    )
    rows = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in blocks]
    return [row for row in rows if row.get("LoadState") in {"loaded", "masked", "error"}]


def text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def digest(path: Path) -> str:
    """A key file's SHA-256, which is what the other side holds; the key itself stays where it is."""
    try:
        return hashlib.sha256(path.read_bytes().strip()).hexdigest()
    except OSError:
        return ""


def get(url: str, key: str = "", body: dict[str, Any] | None = None) -> dict[str, Any]:
    """What a service answers: `answer`, or `problem` in words; `status` where it answered at all."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data)  # noqa: S310 (a service's own address)
    if body is not None:
        request.add_header("content-type", "application/json")
    if key:
        request.add_header("x-api-key", key)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=SECONDS if body is None else 6 * SECONDS) as answer:
            found = json.load(answer)
        return {"status": 200, "answer": found if isinstance(found, dict) else {}}
    except urllib.error.HTTPError as exc:
        return {"status": exc.code, "problem": _reason(exc)}
    except (OSError, ValueError) as exc:
        return {"problem": str(getattr(exc, "reason", exc)) or type(exc).__name__}


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        found = json.load(error)
    except (OSError, ValueError):
        return f"HTTP {error.code}"
    message = found.get("error", {}).get("message") if isinstance(found.get("error"), dict) else found.get("problem")
    return f"{message} (HTTP {error.code})" if message else f"HTTP {error.code}"
