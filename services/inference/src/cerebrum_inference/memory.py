"""How much memory there is: of the machine, of the control group, of this process. Reads /proc and /sys."""

from __future__ import annotations

from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")
_NO_LIMIT = 1 << 60  # version 1 writes a number of that size where there is none


def available_memory() -> int:
    """Bytes that can be had without pushing others out: what the machine has, or the control group if that is less."""
    return min([_field(Path("/proc/meminfo"), "MemAvailable"), *_limits()])


def resident_anonymous() -> int:
    """Bytes of this process that belong to no file."""
    return _field(Path("/proc/self/status"), "RssAnon")


def _field(path: Path, name: str) -> int:
    for line in path.read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"{path} has no {name}")


def _limits() -> list[int]:
    """What is left in each control group from ours up to the root."""
    left = []
    for line in _MEMBERSHIP.read_text(encoding="ascii").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, names = _CGROUPS, ("memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            root, names = _CGROUPS / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes")
        else:
            continue
        group = root / path.lstrip("/")
        while group.is_relative_to(root):
            room = _room(group, *names)
            if room is not None:
                left.append(room)
            if group == root:
                break
            group = group.parent
    return left


def _room(group: Path, limit_file: str, usage_file: str) -> int | None:
    """Bytes left in one group, its page cache counted as free; None where it has no limit."""
    try:
        limit = (group / limit_file).read_text(encoding="ascii").strip()
        if limit == "max" or int(limit) >= _NO_LIMIT:
            return None
        usage = int((group / usage_file).read_text(encoding="ascii"))
        stat = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
    except OSError:
        return None  # a group that is not visible from here, or has no memory controller
    cache = int(stat.get("total_inactive_file", stat.get("inactive_file", 0)))
    return max(0, int(limit) - usage + cache)
