"""Hosts of another architecture are run by qemu: labs that need it have the kernel told, and the last has it forget."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from ansible.module_utils.lab_binfmt import Entry, objection, parse
from ansible.module_utils.lab_names import Failure, Lab, is_mounted, run

BINFMT = Path("/proc/sys/fs/binfmt_misc")
CONFIGURATION = "/usr/lib/binfmt.d/qemu-{}.conf"  # what Debian's qemu-user-static registers where systemd runs
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def folder(lab: Lab) -> Path:
    """Who needs what: `<machine>.users/<lab id>`. What was done for them: `<machine>.registered`, `mounted`."""
    path: Path = lab.root / ".emulation"
    return path


def claim(lab: Lab, machines: list[str]) -> bool:
    """The kernel runs these machines' programs while this lab is there; others that it needed, it needs no more."""
    changed = False
    for machine in machines:
        user = folder(lab) / f"{machine}.users" / lab.id
        if not user.exists():
            user.parent.mkdir(parents=True, exist_ok=True)
            user.touch()  # before the kernel is told, so that whatever was done can be undone
            changed = True
        changed |= mount(lab)
        fault = objection(entries(), machine)
        if fault:
            raise Failure(fault)
        if fault is not None:
            (BINFMT / "register").write_text(Path(CONFIGURATION.format(machine)).read_text().strip())
            mark(lab, f"{machine}.registered")
            changed = True
    return release(lab, keep=machines) or changed


def release(lab: Lab, keep: list[str] | None = None) -> bool:
    changed = False
    for users in folder(lab).glob("*.users"):
        machine = users.name.removesuffix(".users")
        if machine in (keep or []) or not (users / lab.id).exists():
            continue
        (users / lab.id).unlink()
        changed = True
        if any(users.iterdir()):
            continue
        if unmark(lab, f"{machine}.registered") and (BINFMT / f"qemu-{machine}").exists():
            (BINFMT / f"qemu-{machine}").write_text("-1")
        users.rmdir()
    if folder(lab).exists() and not list(folder(lab).glob("*.users")):
        if unmark(lab, "mounted") and is_mounted(BINFMT) and not entries():
            run("umount", str(BINFMT))
        shutil.rmtree(folder(lab))
    return changed


def mount(lab: Lab) -> bool:
    """binfmt_misc is there; systemd mounts it when somebody looks, a machine without systemd does not."""
    if (BINFMT / "register").exists():
        return False
    if not BINFMT.exists() and shutil.which("modprobe"):
        run("modprobe", "binfmt_misc", check=False)
    run("mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT))
    mark(lab, "mounted")
    return True


def entries() -> list[Entry]:
    found = []
    for path in BINFMT.iterdir() if BINFMT.exists() else []:
        if path.name not in {"register", "status"}:
            with contextlib.suppress(FileNotFoundError):  # taken out just now
                found.append(parse(path.name, path.read_text()))
    return found


def mark(lab: Lab, what: str) -> None:
    (folder(lab) / what).write_text(BOOT_ID.read_text())


def unmark(lab: Lab, what: str) -> bool:
    """Whether a lab had done that since this boot; later, it was somebody else."""
    path = folder(lab) / what
    ours = path.exists() and path.read_text() == BOOT_ID.read_text()
    path.unlink(missing_ok=True)
    return ours
