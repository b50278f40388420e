"""A host beneath the services: memory, disks, packages, units that failed, and what deployments left half done."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ansible.module_utils.survey_asks import said, shown, text, tried
from ansible.module_utils.survey_services import ETC, OPT

WRITTEN = ["/", "/opt/cerebrum", "/etc/cerebrum", "/var/lib/cerebrum", "/var/lib/cerebrum/models", "/var/log", "/tmp"]  # noqa: S108 (looked at, never written)
UPGRADES = Path("/var/log/unattended-upgrades/unattended-upgrades.log")


def system() -> dict[str, Any]:
    lines = [line.split() for line in text(Path("/proc/meminfo")).splitlines()]
    memory = {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if len(words) > 1}
    return {
        "memory": {"total": memory.get("MemTotal", 0), "available": memory.get("MemAvailable", 0)},
        "disks": disks(WRITTEN),
        "failed": [line.split()[0] for line in said(*_LIST_FAILED).splitlines() if line.split()],
        "reboot": reboot(),
        "upgrades": upgrades(),
        "leftovers": leftovers(),
    }


_LIST_FAILED = ("systemctl", "list-units", "--state=failed", "--plain", "--no-legend", "--no-pager")


def disks(paths: list[str]) -> list[dict[str, Any]]:
    """A row for each file system that something of ours is written to."""
    rows: dict[int, dict[str, Any]] = {}
    for path in paths:
        try:
            device, found = Path(path).stat().st_dev, os.statvfs(path)
        except OSError:
            continue
        rows.setdefault(
            device,
            {
                "path": path,
                "total": found.f_blocks * found.f_frsize,
                "free": found.f_bavail * found.f_frsize,
                "inodes": found.f_files,
                "inodes_free": found.f_favail,
                "readonly": bool(found.f_flag & os.ST_RDONLY),
            },
        )
    return list(rows.values())


def reboot() -> dict[str, Any]:
    """Whether a package asks for a restart of the host, and which kernel waits for one."""
    return {
        "required": Path("/run/reboot-required").exists(),
        "packages": sorted(set(text(Path("/run/reboot-required.pkgs")).split())),
    }


def upgrades() -> dict[str, Any]:
    """What stands in the way of upgrades: packages that are half installed, and errors of the last unattended run."""
    last = text(UPGRADES).rpartition("Starting unattended upgrades script")[2].splitlines()
    code, _ = tried("dpkg", "--audit")
    return {
        "audit": said("dpkg", "--audit").strip().splitlines()[:1] if code == 0 else ["dpkg --audit fails"],
        "errors": [line.strip() for line in last if " ERROR " in line][:3],
        "timer": next((row["ActiveState"] for row in shown("apt-daily-upgrade.timer", "ActiveState")), "absent"),
    }


def leftovers() -> list[str]:
    """Traces of deployments and exchanges of keys that did not end: the next run of site.yml completes them."""
    patterns = [
        (ETC, "edge/keys/*.next"),
        (ETC, "edge/keys/*.part"),
        (ETC, "firewall/rules.nft.new"),
        (Path("/var/lib/cerebrum"), "models/incoming/*.part"),
    ]
    found = [str(path) for folder, pattern in patterns for path in folder.glob(pattern)]
    found += [str(path) for path in OPT.glob("*/releases/*") if not (path / ".complete").exists()]
    return sorted(found)
