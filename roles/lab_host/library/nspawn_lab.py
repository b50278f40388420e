#!/usr/bin/python
"""Makes and removes a lab: a bridge, and systemd-nspawn hosts on it.

Every part is looked at on its own and made or removed only where it is not as asked, so that a lab which was left half
made is mended by the same call that makes a new one. Nothing is remembered except which subnet the lab was given.
"""

from __future__ import annotations

import contextlib
import ipaddress
import shutil
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_emulation import claim, release
from ansible.module_utils.lab_machine import make_files, remove_cgroup, remove_empty_cgroup, remove_files, start, stop
from ansible.module_utils.lab_names import Failure, Lab, links, locked, namespaces, run, supervisors
from ansible.module_utils.lab_network import (
    address6,
    choose_subnet,
    make_network,
    make_wire,
    remove_network,
    remove_wire,
    restore_forwarding,
)

DOCUMENTATION = r"""
module: nspawn_lab
short_description: Debian hosts in systemd-nspawn, on a bridge of their own
options:
  root: {description: Folder of all labs, type: path, required: true}
  id: {description: Eight hex digits that name this lab, type: str, required: true}
  hosts: {description: The folder of each host's base image, by the host's name, type: dict, default: {}}
  emulated:
    description: Machines, as C(uname -m) names them, whose programs this lab needs qemu for. The others it gives up.
    type: list
    elements: str
    default: []
  state:
    description: >-
      Whether the lab shall exist. C(prepared) ends when the programs of C(emulated) run, which making their images
      needs.
    type: str
    choices: [prepared, present, absent]
    default: present
author: The Cerebrum authors
"""
EXAMPLES = r"""
- nspawn_lab: {root: /var/lib/cerebrum-lab, id: 0a1b2c3d, hosts: {pi: /var/cache/debian-arm64, vps: /var/cache/debian}}
"""
RETURN = r"""
directory: {description: The lab's folder, type: str, returned: always}
lab: {description: What lab.json holds, type: dict, returned: state is present}
"""

FIRST_HOST = 11


def present(lab: Lab, hosts: dict[str, str]) -> tuple[bool, dict[str, Any]]:
    lab.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    subnet, changed = choose_subnet(lab), False
    network = ipaddress.IPv4Network(subnet)
    known = lab.read().get("hosts", {})
    for host, row in known.items():
        if host not in hosts or row.get("image") != hosts[host]:
            changed |= remove_host(lab, host)  # a new image below old files is no Debian
    facts: dict[str, Any] = {
        "id": lab.id,
        "subnet": subnet,
        "gateway": str(network[1]),
        "key": str(lab.directory / "key"),
        "hosts": {
            host: {"address": address, "address6": address6(lab, address), "image": hosts[host]}
            for host, address in addresses(network, list(hosts), known).items()
        },
    }
    if lab.read() != facts:
        lab.write(facts)  # before anything is made, so that whatever was made can be found again
        changed = True
    if not (lab.directory / "key").exists():
        comment = f"cerebrum lab {lab.id}"
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(lab.directory / "key"))
        changed = True
    changed |= make_network(lab, subnet)
    for host, image in hosts.items():
        address = facts["hosts"][host]["address"]
        fresh = make_wire(lab, host, address, facts["gateway"])
        if fresh and supervisors(lab.machine(host)):
            stop(lab, host)  # it runs in a namespace that is gone
        changed |= fresh | make_files(lab, host, Path(image)) | start(lab, host)
    changed |= write_ssh(lab, facts)
    return changed, facts


def addresses(network: ipaddress.IPv4Network, hosts: list[str], known: dict[str, Any]) -> dict[str, str]:
    """Every host's address; the one that it has is the one that it keeps."""
    kept = {host: known[host]["address"] for host in hosts if host in known}
    free = (str(one) for one in list(network.hosts())[FIRST_HOST - 1 :] if str(one) not in kept.values())
    return {host: kept.get(host) or next(free) for host in hosts}


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
        known += f"{row['address']},{row['address6']} {public[0]} {public[1]}\n"
    changed = False
    for name, text in (("ssh_config", config), ("known_hosts", known)):
        path = lab.directory / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text, encoding="utf-8")
            changed = True
    return changed


def remove_host(lab: Lab, host: str) -> bool:
    changed: bool = stop(lab, host)
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
    changed |= remove_network(lab) | release(lab)
    remove_cgroup(f"cerebrum-lab/{lab.id}")
    remove_empty_cgroup("cerebrum-lab")
    if lab.directory.exists():
        shutil.rmtree(lab.directory)
        changed = True
    if not list(lab.root.glob("*/lab.json")):  # it was the last lab of this machine
        restore_forwarding(lab)
        with contextlib.suppress(OSError):  # it may not exist, or hold what is not ours
            lab.root.rmdir()
    return changed


def predict(lab: Lab, state: str, hosts: dict[str, str]) -> bool:
    """Whether a real run would change anything, as far as can be told without changing it."""
    if state == "absent":
        return lab.directory.exists() or lab.bridge in links()
    return any(not supervisors(lab.machine(host)) for host in hosts) or lab.bridge not in links()


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "id": {"type": "str", "required": True},
            "hosts": {"type": "dict", "default": {}},
            "emulated": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["prepared", "present", "absent"], "default": "present"},
        },
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
            with locked():
                if asked["state"] == "absent":
                    result["changed"] = absent(lab)
                else:
                    result["changed"] = claim(lab, asked["emulated"])
                if asked["state"] == "present":
                    made, result["lab"] = present(lab, asked["hosts"])
                    result["changed"] |= made
    except (Failure, OSError) as exc:
        module.fail_json(msg=f"lab {lab.id}: {exc}", **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
