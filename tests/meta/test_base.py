"""What role base decides by a host's facts, for hosts that no lab has: a Pi, a container, one with old keys."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from support import playbooks
from support.repo import ROOT

ED25519 = "256 SHA256:a root@host (ED25519)"
FACTS: dict[str, dict[str, Any]] = {
    "pi": {
        "mounts": [{"mount": "/boot", "device": "/dev/sda1"}, {"mount": "/", "device": "/dev/mmcblk0p2"}],
        "memtotal_mb": 3792,
    },
    "vps": {"mounts": [{"mount": "/", "device": "/dev/vda1"}], "memtotal_mb": 7900, "virtualization_type": "kvm"},
    "container": {"mounts": [], "memtotal_mb": 2000, "virtualization_type": "lxc"},
}
KEYS = {
    "pi": [ED25519, "3072 SHA256:b root@host (RSA)", "256 SHA256:c root@host (ECDSA)"],
    "vps": [ED25519, "2048 SHA256:b root@host (RSA)", "4096 SHA256:d root@host (RSA)"],
    "container": ["256 SHA256:c root@host (ECDSA)"],
}
SYSCTL = ["kernel.kptr_restrict readonly 0,", "fs.suid_dumpable writable 0,", "net.ipv4.tcp_syncookies writable 0,"]
SYSCTL += ["net.ipv4.conf.*.rp_filter writable 2,", "net.ipv4.conf.*.rp_filter writable 0,"]
SYSCTL += ["net.ipv4.conf.*.accept_redirects writable 0,", "net.ipv4.conf.*.accept_redirects readonly 1,"]
ASKED = [
    "base__journal_storage",
    "base__zram",
    "base__host_key_algorithms",
    "base__sysctl_settable",
    "base__sysctl_wrong",
]


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("base")
    play = {
        "name": "Decisions are made",
        "hosts": "all",
        "connection": "local",
        "gather_facts": False,
        "vars_files": [str(ROOT / f"roles/base/{part}/main.yml") for part in ("defaults", "vars")],
        "vars": {
            "base__sysctl_read": {"stdout_lines": SYSCTL},
            "base__sshd_before": {"stdout_lines": "{{ keys[inventory_hostname] }}"},
            "keys": KEYS,
        },
        "tasks": [
            {
                "name": "Host has its facts",
                "ansible.builtin.set_fact": {**facts, "cacheable": True},
                "when": f"inventory_hostname == '{name}'",
            }
            for name, facts in ((name, {"virtualization_role": "guest", **row}) for name, row in FACTS.items())
        ]
        + [
            {
                "name": "Decisions are told",
                "ansible.builtin.copy": {
                    "dest": f"{folder}/{{{{ inventory_hostname }}}}",
                    "content": "{{ {" + ", ".join(f"'{name}': {name}" for name in ASKED) + "} | to_json }}",
                    "mode": "0600",
                },
            }
        ],
    }
    (folder / "play.yml").write_text(yaml.safe_dump([play]), encoding="utf-8")
    done = playbooks.play(folder / "play.yml", inventory=",".join(FACTS))
    assert done.returncode == 0, done.stdout
    return {name: json.loads((folder / name).read_text(encoding="utf-8")) for name in FACTS}


@pytest.mark.parametrize(("host", "storage"), [("pi", "volatile"), ("vps", "persistent"), ("container", "persistent")])
def test_journal_spares_sd_cards(decided: dict[str, dict[str, Any]], host: str, storage: str) -> None:
    assert decided[host]["base__journal_storage"] == storage


@pytest.mark.parametrize(("host", "swaps"), [("pi", True), ("vps", False), ("container", False)])
def test_small_machines_compress_memory(decided: dict[str, dict[str, Any]], host: str, swaps: bool) -> None:
    assert decided[host]["base__zram"] is swaps


@pytest.mark.parametrize(
    ("host", "kinds"), [("pi", {"ssh-ed25519", "rsa-sha2-256"}), ("vps", {"ssh-ed25519"}), ("container", set())]
)
def test_short_rsa_and_ecdsa_host_keys_are_not_offered(
    decided: dict[str, dict[str, Any]], host: str, kinds: set[str]
) -> None:
    offered = set(decided[host]["base__host_key_algorithms"])
    assert offered & {"ssh-ed25519", "rsa-sha2-256", "ecdsa-sha2-nistp256", "ssh-rsa"} == kinds


def test_only_what_the_kernel_lets_is_set_and_only_where_it_differs(decided: dict[str, dict[str, Any]]) -> None:
    settable = {"fs.suid_dumpable", "net.ipv4.tcp_syncookies", "net.ipv4.conf.*.rp_filter"}
    assert set(decided["pi"]["base__sysctl_settable"]) == settable
    assert set(decided["pi"]["base__sysctl_wrong"]) == {"net.ipv4.tcp_syncookies", "net.ipv4.conf.*.rp_filter"}
