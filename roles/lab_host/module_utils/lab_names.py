"""What a lab is called, where it keeps its files, and what of it there is on this machine now."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Not in the labs' folder, which goes with the last lab while others may wait for the lock.
LOCK = Path("/run/lock/cerebrum-lab.lock")


class Failure(Exception):
    """The lab cannot be as asked; the text says why."""


def run(*argv: str, check: bool = True, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise Failure(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip() or done.returncode}")
    return done


class Lab:
    """One lab's names and folders, and the subnet that it was given."""

    def __init__(self, root: Path, identifier: str) -> None:
        self.id = identifier
        self.root = root
        self.directory = root / identifier
        self.file = self.directory / "lab.json"
        self.bridge = f"cb-{identifier}"
        self.table = f"cerebrum_lab_{identifier}"

    def read(self) -> dict[str, Any]:
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
            found = json.loads(self.file.read_text(encoding="utf-8"))
            if isinstance(found, dict):
                return found
        return {}

    def write(self, facts: dict[str, Any]) -> None:
        temporary = self.file.with_suffix(".new")
        temporary.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        temporary.replace(self.file)

    def namespace(self, host: str) -> str:
        return f"cb-{self.id}-{host}"

    def veth(self, host: str) -> str:
        # 15 characters are all that an interface name can have.
        return f"cbv{self.id[:6]}{hashlib.sha256(host.encode()).hexdigest()[:6]}"

    def mac(self, host: str) -> str:
        """The hardware address of a host, or of the bridge under an empty name.

        A wire that is made again has the one that it had: others still know it, and IPv6 takes seconds to ask anew.
        """
        return "02" + re.sub("(..)", r":\1", hashlib.sha256(f"{self.id} {host}".encode()).hexdigest()[:10])

    def machine(self, host: str) -> str:
        return f"cerebrum-{self.id}-{host}"

    def cgroup(self, host: str) -> str:
        return f"cerebrum-lab/{self.id}/{host}"


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Labs are made and removed one at a time: subnets and IP forwarding are the machine's."""
    with LOCK.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def links() -> dict[str, dict[str, Any]]:
    if shutil.which("ip") is None:  # a machine that never had a lab is asked to remove one
        return {}
    return {link["ifname"]: link for link in json.loads(run("ip", "-j", "addr").stdout)}


def namespaces() -> set[str]:
    if shutil.which("ip") is None:
        return set()
    listed = run("ip", "-j", "netns", "list").stdout.strip()
    return {row["name"] for row in json.loads(listed or "[]")}


def is_mounted(path: Path) -> bool:
    return any(line.split()[1] == str(path) for line in Path("/proc/mounts").read_text().splitlines())


def supervisors(machine: str) -> list[int]:
    """The systemd-nspawn processes of a host: one, or none."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if words[0].endswith(b"systemd-nspawn") and f"--machine={machine}".encode() in words:
                    found.append(int(entry.name))
    return found
