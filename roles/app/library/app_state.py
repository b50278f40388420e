"""What a host has of a service: releases, instances, the socket, keys by their digests, all in one look."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: app_state
short_description: What a host has of a service of Cerebrum
description:
  - Reads and changes nothing, so that it does the same in check mode. Everything that the role decides from comes from
    here, in one journey to the host.
options:
  service: {description: The service's name, type: str, required: true}
  root: {description: Where releases live, type: path, required: true}
  credentials: {description: Files to be known by their digests, by credential name, type: dict, default: {}}
"""

UNITS = Path("/etc/systemd/system")
# Everything but dead: an instance that failed or is on its way out counts as well.
STATES = "active,activating,reloading,deactivating,failed"
# Of a CPU's flags those that name instructions which -march=native lets a compiler use.
COMPUTES = re.compile(
    r"abm|adx|amx|asimd|avx|bf16|bmi|f16c|fma|fphp|gfni|i8mm|movbe|pni|popcnt|sm[ae]|sse|ssse|sve|tbm|vaes|vpclmul|xop"
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "service": {"type": "str", "required": True},
            "root": {"type": "path", "required": True},
            "credentials": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    try:
        state = look(module.params["service"], Path(module.params["root"]), module.params["credentials"])
    except (OSError, subprocess.CalledProcessError) as exc:
        module.fail_json(msg=f"What runs here cannot be told: {getattr(exc, 'stderr', '') or exc}")
    module.exit_json(changed=False, state=state)


def look(service: str, root: Path, credentials: dict[str, str]) -> dict[str, Any]:
    """The facts that `filter_plugins/releases.py` decides from."""
    name = f"cerebrum-{service}"
    wanted = UNITS / "multi-user.target.wants"
    return {
        "releases": [
            {"name": path.name, "complete": (path / ".complete").exists(), "made": path.stat().st_mtime}
            for path in folder(root / service / "releases")
            if path.is_dir()
        ],
        "running": running(name),
        "unit_files": {path.name: digest(path) for path in folder(UNITS) if path.match(f"{name}@?*.service")},
        "settings": {
            path.name: digest(path) for path in folder(Path("/etc/cerebrum", service)) if path.suffix == ".env"
        },
        "enabled": [path.name for path in folder(wanted) if path.match(f"{name}@?*.service")],
        "socket": text(UNITS / f"{name}.socket"),
        "credentials": {key: digest(Path(path)) for key, path in credentials.items()},
        "served": (text(root / service / "served") or "").splitlines(),
        "available_mib": available_mib(),
        "cpu": cpu(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")),
    }


def folder(path: Path) -> list[Path]:
    return sorted(path.iterdir()) if path.is_dir() else []


def text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def digest(path: Path) -> str:
    """SHA-256 as hexadecimal digits; '' where there is no such file."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def running(name: str) -> list[dict[str, str]]:
    """Instances that systemd knows as more than a file, with what they say of themselves."""
    listed = systemctl("list-units", "--all", "--plain", "--no-legend", f"--state={STATES}", f"{name}@*.service")
    rows = []
    for line in listed.splitlines():
        unit, _, active, sub = line.split()[:4]
        says = systemctl("show", "--property=StatusText", "--value", unit).strip()
        rows.append({"unit": unit, "active": active, "sub": sub, "status": says})
    return rows


def systemctl(*words: str) -> str:
    done = subprocess.run(
        ["systemctl", *words], capture_output=True, text=True, check=True, env={**os.environ, "LC_ALL": "C"}
    )
    return done.stdout


def cpu(info: str) -> str:
    """Four digits that stand for what the CPU can compute with, from /proc/cpuinfo's text.

    Only for what a compiler makes use of: a new kernel names flags that the old one did not.
    """
    line = re.search(r"^(?:flags|Features)\s*:(.*)$", info, re.MULTILINE)
    able = sorted({word for word in line[1].split() if COMPUTES.match(word)}) if line else []
    return hashlib.sha256(" ".join(able).encode()).hexdigest()[:4]


def available_mib() -> int:
    found = re.search(r"^MemAvailable: +(\d+) kB$", Path("/proc/meminfo").read_text(encoding="ascii"), re.MULTILINE)
    return int(found[1]) // 1024 if found else 0


if __name__ == "__main__":
    main()
