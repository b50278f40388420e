#!/usr/bin/python
"""Makes and removes a lab: a bridge, and systemd-nspawn hosts on it.

Every part is looked at on its own and made or removed only where it is not as asked, so that a lab which was left half
made is mended by the same call that makes a new one. Nothing is remembered except which subnet the lab was given.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import ipaddress
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: nspawn_lab
short_description: Debian hosts in systemd-nspawn, on a bridge of their own
options:
  root: {description: Folder of all labs, type: path, required: true}
  id: {description: Eight hex digits that name this lab, type: str, required: true}
  image: {description: Folder of the base image; needed for C(present), type: path}
  hosts: {description: Names of the hosts, type: list, elements: str, default: []}
  state: {description: Whether the lab shall exist, type: str, choices: [present, absent], default: present}
author: The Cerebrum authors
"""
EXAMPLES = r"""
- nspawn_lab: {root: /var/lib/cerebrum-lab, id: 0a1b2c3d, image: /var/cache/debian, hosts: [pi, vps]}
"""
RETURN = r"""
directory: {description: The lab's folder, type: str, returned: always}
lab: {description: What lab.json holds, type: dict, returned: state is present}
"""

POOL = ipaddress.IPv4Network("10.213.0.0/16")
Network = ipaddress.IPv4Network
FIRST_HOST = 11
MTU_FALLBACK = 1400
STOP_SECONDS = 15
CGROUPS = Path("/sys/fs/cgroup")


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

    def machine(self, host: str) -> str:
        return f"cerebrum-{self.id}-{host}"

    def cgroup(self, host: str) -> str:
        return f"cerebrum-lab/{self.id}/{host}"


@contextlib.contextmanager
def locked(root: Path) -> Iterator[None]:
    """Labs are made and removed one at a time: subnets and IP forwarding are the machine's."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# --- what there is -------------------------------------------------------------------------------------------------


def links() -> dict[str, dict[str, Any]]:
    return {link["ifname"]: link for link in json.loads(run("ip", "-j", "addr").stdout)}


def namespaces() -> set[str]:
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


# --- network -------------------------------------------------------------------------------------------------------


def choose_subnet(lab: Lab) -> str:
    """The subnet that the lab has, or a free one; the id decides where the search begins."""
    known = lab.read().get("subnet")
    if isinstance(known, str):
        return known
    taken = set()
    for file in lab.root.glob("*/lab.json"):
        with contextlib.suppress(json.JSONDecodeError, OSError):
            taken.add(json.loads(file.read_text(encoding="utf-8")).get("subnet"))
    routed: list[Network] = [
        ipaddress.IPv4Network(row["dst"])
        for row in json.loads(run("ip", "-j", "route").stdout)
        if row["dst"] != "default"
    ]
    subnets = list(POOL.subnets(new_prefix=24))
    begin = int(lab.id, 16) % len(subnets)
    for subnet in subnets[begin:] + subnets[:begin]:
        if str(subnet) not in taken and not any(subnet.overlaps(other) for other in routed):
            return str(subnet)
    raise Failure(f"no /24 of {POOL} is free for another lab")


def uplink_mtu() -> int:
    """The MTU towards the world: a bridge that promises more than the uplink carries stalls large answers."""
    for row in json.loads(run("ip", "-j", "route", "show", "default").stdout or "[]"):
        link = links().get(row.get("dev", ""))
        if link:
            return int(link["mtu"])
    return MTU_FALLBACK


def make_network(lab: Lab, subnet: str) -> bool:
    changed, gateway = False, f"{ipaddress.IPv4Network(subnet)[1]}/24"
    present = links().get(lab.bridge)
    if present is None:
        run("ip", "link", "add", lab.bridge, "mtu", str(uplink_mtu()), "type", "bridge")
        changed = True
    if present is None or not any(row.get("local") == gateway[:-3] for row in present["addr_info"]):
        run("ip", "addr", "add", gateway, "dev", lab.bridge)
        changed = True
    if present is None or "UP" not in present["flags"]:
        run("ip", "link", "set", lab.bridge, "up")
        changed = True
    if run("nft", "list", "table", "ip", lab.table, check=False).returncode != 0:
        run(
            "nft",
            "-f",
            "-",
            stdin=f"""
            table ip {lab.table} {{
                chain postrouting {{
                    type nat hook postrouting priority srcnat; policy accept;
                    ip saddr {subnet} oifname != "{lab.bridge}" masquerade
                }}
            }}
        """,
        )
        changed = True
    forward = Path("/proc/sys/net/ipv4/ip_forward")
    if forward.read_text().strip() != "1":
        (lab.root / ".forwarding-was-off").touch()
        forward.write_text("1\n")
        changed = True
    return changed


def remove_network(lab: Lab) -> bool:
    changed = False
    if lab.bridge in links():
        run("ip", "link", "del", lab.bridge)
        changed = True
    if shutil.which("nft") and run("nft", "list", "table", "ip", lab.table, check=False).returncode == 0:
        run("nft", "delete", "table", "ip", lab.table)
        changed = True
    return changed


def make_wire(lab: Lab, host: str, address: str, gateway: str) -> bool:
    """The host's network namespace and its cable to the bridge."""
    name, veth, changed = lab.namespace(host), lab.veth(host), False
    if name not in namespaces():
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
        changed = True
    if veth not in links():
        mtu = str(uplink_mtu())
        run("ip", "link", "add", veth, "mtu", mtu, "type", "veth", "peer", "name", "host0", "mtu", mtu, "netns", name)
        run("ip", "link", "set", veth, "master", lab.bridge, "up")
        run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "host0")
        run("ip", "-n", name, "link", "set", "host0", "up")
        run("ip", "-n", name, "route", "add", "default", "via", gateway)
        changed = True
    return changed


def remove_wire(lab: Lab, host: str) -> bool:
    changed = False
    if lab.veth(host) in links():
        run("ip", "link", "del", lab.veth(host))
        changed = True
    if lab.namespace(host) in namespaces():
        run("ip", "netns", "del", lab.namespace(host))
        changed = True
    return changed


# --- hosts ---------------------------------------------------------------------------------------------------------


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
    root = base / "root"
    if is_mounted(root):
        return False
    for name in ("upper", "work", "root"):
        (base / name).mkdir(parents=True, exist_ok=True)
    options = f"lowerdir={image},upperdir={base / 'upper'},workdir={base / 'work'}"
    run("mount", "-t", "overlay", "overlay", "-o", options, str(root))
    (root / "etc/hostname").write_text(f"{host}\n", encoding="utf-8")
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost {host}\n::1 localhost {host}\n", encoding="utf-8")
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/resolv.conf").write_text(resolver(), encoding="utf-8")
    ssh = root / "root/.ssh"
    ssh.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(lab.directory / "key.pub", ssh / "authorized_keys")
    run("ssh-keygen", "-q", "-A", "-f", str(root))
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
            "--property=KillMode=mixed", "--property=Type=exec", *argv)  # fmt: skip
        return True
    subprocess.Popen(
        ["/bin/sh", "-c", _JOIN_CGROUP, "sh", lab.cgroup(host), *argv],
        stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, close_fds=True,
    )  # fmt: skip
    return True


# Without a cgroup of its own, every host would put its services below the same /payload, and a host that stops a unit
# would kill the processes of its neighbour. systemd's own hierarchy is named or unified, depending on the machine.
_JOIN_CGROUP = """
group=$1; shift
for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
    [ -e "$hierarchy/cgroup.procs" ] || continue
    mkdir -p "$hierarchy/$group" && echo $$ > "$hierarchy/$group/cgroup.procs"
done
exec "$@"
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
        with contextlib.suppress(OSError):  # the parent may hold another lab
            folder.rmdir()


def remove_files(lab: Lab, host: str) -> bool:
    base = lab.directory / host
    while is_mounted(base / "root"):
        run("umount", "--recursive", str(base / "root"))
    existed = base.exists()
    shutil.rmtree(base, ignore_errors=False) if existed else None
    return existed


# --- the two states ------------------------------------------------------------------------------------------------


def present(lab: Lab, hosts: list[str], image: Path) -> tuple[bool, dict[str, Any]]:
    lab.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    subnet, changed = choose_subnet(lab), False
    network = ipaddress.IPv4Network(subnet)
    known = lab.read().get("hosts", {})
    for host in sorted(set(known) - set(hosts)):
        changed |= remove_host(lab, host)
    facts: dict[str, Any] = {
        "id": lab.id,
        "subnet": subnet,
        "gateway": str(network[1]),
        "key": str(lab.directory / "key"),
        "hosts": {host: {"address": str(network[FIRST_HOST + at])} for at, host in enumerate(hosts)},
    }
    if lab.read() != facts:
        lab.write(facts)  # before anything is made, so that whatever was made can be found again
        changed = True
    if not (lab.directory / "key").exists():
        run(
            "ssh-keygen",
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-C",
            f"cerebrum lab {lab.id}",
            "-f",
            str(lab.directory / "key"),
        )
        changed = True
    changed |= make_network(lab, subnet)
    for host in hosts:
        address = facts["hosts"][host]["address"]
        fresh = make_wire(lab, host, address, facts["gateway"])
        if fresh and supervisors(lab.machine(host)):
            stop(lab, host)  # it runs in a namespace that is gone
        changed |= fresh | make_files(lab, host, image) | start(lab, host)
    changed |= write_ssh(lab, facts)
    return changed, facts


def write_ssh(lab: Lab, facts: dict[str, Any]) -> bool:
    """A configuration for `ssh -F`, with the hosts' keys known beforehand."""
    config, known = "", ""
    for host, row in facts["hosts"].items():
        config += (
            f"Host {host}\n  HostName {row['address']}\n  User root\n  IdentityFile {facts['key']}\n"
            f"  IdentitiesOnly yes\n  UserKnownHostsFile {lab.directory / 'known_hosts'}\n"
            "  StrictHostKeyChecking yes\n  ConnectTimeout 5\n"
        )
        public = (lab.directory / host / "root/etc/ssh/ssh_host_ed25519_key.pub").read_text().split()
        known += f"{row['address']} {public[0]} {public[1]}\n"
    changed = False
    for name, text in (("ssh_config", config), ("known_hosts", known)):
        path = lab.directory / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text, encoding="utf-8")
            changed = True
    return changed


def remove_host(lab: Lab, host: str) -> bool:
    changed = stop(lab, host)
    changed |= remove_files(lab, host) | remove_wire(lab, host)
    remove_cgroup(lab.cgroup(host))
    return changed


def absent(lab: Lab) -> bool:
    changed = False
    hosts = set(lab.read().get("hosts", {}))
    if lab.directory.exists():
        hosts |= {entry.name for entry in lab.directory.iterdir() if entry.is_dir()}
    hosts |= {name.removeprefix(lab.namespace("")) for name in namespaces() if name.startswith(lab.namespace(""))}
    for host in sorted(hosts):
        changed |= remove_host(lab, host)
    changed |= remove_network(lab)
    remove_cgroup(f"cerebrum-lab/{lab.id}")
    remove_cgroup("cerebrum-lab")
    if lab.directory.exists():
        shutil.rmtree(lab.directory)
        changed = True
    mark = lab.root / ".forwarding-was-off"
    if mark.exists() and not list(lab.root.glob("*/lab.json")):
        Path("/proc/sys/net/ipv4/ip_forward").write_text("0\n")
        mark.unlink()
    return changed


def predict(lab: Lab, state: str, hosts: list[str]) -> bool:
    """Whether a real run would change anything, as far as can be told without changing it."""
    if state == "absent":
        return lab.directory.exists() or lab.bridge in links()
    return any(not supervisors(lab.machine(host)) for host in hosts) or lab.bridge not in links()


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "id": {"type": "str", "required": True},
            "image": {"type": "path"},
            "hosts": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        required_if=[("state", "present", ["image"])],
        supports_check_mode=True,
    )
    asked = module.params
    lab = Lab(Path(asked["root"]), asked["id"])
    result: dict[str, Any] = {"directory": str(lab.directory), "changed": False}
    try:
        if module.check_mode:
            result["changed"] = predict(lab, asked["state"], asked["hosts"])
            result["lab"] = lab.read()
        else:
            with locked(lab.root):
                if asked["state"] == "present":
                    result["changed"], result["lab"] = present(lab, asked["hosts"], Path(asked["image"]))
                else:
                    result["changed"] = absent(lab)
    except (Failure, OSError) as exc:
        module.fail_json(msg=f"lab {lab.id}: {exc}", **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
