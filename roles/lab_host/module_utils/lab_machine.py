"""A lab's hosts: an overlay over the base image, systemd-nspawn on top, a cgroup around it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from ansible.module_utils.lab_names import Failure, Lab, is_mounted, run, supervisors

STOP_SECONDS = 15
CGROUPS = Path("/sys/fs/cgroup")


def resolver() -> str:
    """The machine's resolv.conf; systemd-resolved's upstream servers where the usual one points to loopback."""
    text = Path("/etc/resolv.conf").read_text(encoding="utf-8")
    upstream = Path("/run/systemd/resolve/resolv.conf")
    if any(line.split()[1].startswith("127.") for line in text.splitlines() if line.startswith("nameserver ")):
        return upstream.read_text(encoding="utf-8") if upstream.exists() else text
    return text


def make_files(lab: Lab, host: str, image: Path) -> bool:
    """The host's root: the image below, its own files above."""
    base = lab.directory / host
    root, complete = base / "root", base / "complete"
    if is_mounted(root) and complete.exists():
        return False
    for name in ("upper", "work", "root"):
        (base / name).mkdir(parents=True, exist_ok=True)
    options = f"lowerdir={image},upperdir={base / 'upper'},workdir={base / 'work'}"
    if not is_mounted(root):
        run("mount", "-t", "overlay", "overlay", "-o", options, str(root))
    (root / "etc/hostname").write_text(f"{host}\n", encoding="utf-8")
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost {host}\n::1 localhost {host}\n", encoding="utf-8")
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/resolv.conf").write_text(resolver(), encoding="utf-8")
    ssh = root / "root/.ssh"
    ssh.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(lab.directory / "key.pub", ssh / "authorized_keys")
    run("ssh-keygen", "-q", "-A", "-f", str(root))
    complete.touch()  # last: whatever was interrupted before is done again
    return True


def start(lab: Lab, host: str) -> bool:
    machine = lab.machine(host)
    if supervisors(machine):
        return False
    argv = [
        "systemd-nspawn", "--quiet", f"--directory={lab.directory / host / 'root'}", f"--machine={machine}",
        f"--hostname={host}", "--register=no", "--keep-unit",
        f"--network-namespace-path=/run/netns/{lab.namespace(host)}", "--capability=CAP_NET_ADMIN,CAP_NET_RAW",
        "--resolv-conf=off", "--link-journal=no", "--console=pipe", "--boot",
    ]  # fmt: skip
    if Path("/dev/net/tun").exists():
        argv.insert(-1, "--bind=/dev/net/tun")
    log = (lab.directory / host / "console.log").open("wb")
    if Path("/run/systemd/system").is_dir():
        # On a machine that systemd runs, a unit of its own gives the host a part of the cgroup tree to manage.
        run("systemd-run", "--quiet", "--collect", f"--unit={machine}", "--property=Delegate=yes",
            "--property=KillMode=mixed", "--property=Type=exec", "--property=SuccessExitStatus=133",
            "--property=RestartForceExitStatus=133", *argv)  # fmt: skip
        return True
    subprocess.Popen(
        ["/bin/sh", "-c", _JOIN_CGROUP, "sh", lab.cgroup(host), *argv],
        stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, close_fds=True,
    )  # fmt: skip
    return True


# Without a cgroup of its own, every host would put its services below the same /payload, where each systemd finds
# processes that it cannot see, and some of its units fail. systemd's own hierarchy is named or unified, depending on
# the machine. A host that reboots ends with 133 and leaves it to its manager, here this loop, to begin it again.
_JOIN_CGROUP = """
group=$1; shift
while
    (
        for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
            [ -e "$hierarchy/cgroup.procs" ] || continue
            mkdir -p "$hierarchy/$group" && sh -c 'echo $PPID' > "$hierarchy/$group/cgroup.procs"
        done
        exec "$@"
    )
    [ $? = 133 ]
do :; done
"""


def stop(lab: Lab, host: str) -> bool:
    machine, running = lab.machine(host), supervisors(lab.machine(host))
    for pid in running:
        os.kill(pid, signal.SIGTERM)  # nspawn asks the host to power off
    give_up = time.monotonic() + STOP_SECONDS
    while supervisors(machine) and time.monotonic() < give_up:
        time.sleep(0.1)
    for pid in [*supervisors(machine), *cgroup_processes(lab.cgroup(host))]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    give_up = time.monotonic() + STOP_SECONDS
    while supervisors(machine) or cgroup_processes(lab.cgroup(host)):
        if time.monotonic() > give_up:
            raise Failure(f"host {host} does not end: {supervisors(machine)} {cgroup_processes(lab.cgroup(host))}")
        time.sleep(0.1)
    return bool(running)


def cgroup_folders(group: str) -> list[Path]:
    """The folders of a cgroup in every hierarchy, deepest first."""
    folders = []
    for top in [CGROUPS / group, *CGROUPS.glob(f"*/{group}")]:
        for folder, _, _ in os.walk(top, topdown=False):
            folders.append(Path(folder))
    return folders


def cgroup_processes(group: str) -> set[int]:
    found: set[int] = set()
    for folder in cgroup_folders(group):
        with contextlib.suppress(OSError):
            found |= {int(line) for line in (folder / "cgroup.procs").read_text().split()}
    return found


def remove_cgroup(group: str) -> None:
    for folder in cgroup_folders(group):
        with contextlib.suppress(OSError):  # a process that is just ending
            folder.rmdir()


def remove_empty_cgroup(group: str) -> None:
    """Removes a cgroup that holds no other lab."""
    for folder in [CGROUPS / group, *CGROUPS.glob(f"*/{group}")]:
        with contextlib.suppress(OSError):
            folder.rmdir()


def remove_files(lab: Lab, host: str) -> bool:
    base = lab.directory / host
    while is_mounted(base / "root"):
        run("umount", "--recursive", str(base / "root"))
    if not base.exists():
        return False
    shutil.rmtree(base)
    return True
