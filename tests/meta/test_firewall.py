"""What the firewall's rules are made from: whom they let in, whom they would cut, and which input they refuse."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jinja2
import pytest

from support.playbooks import plugin
from support.repo import ROOT, load

FIREWALL = plugin("roles/firewall/filter_plugins/firewall.py")
PORTS = {"edge": 7000, "inference": 9000, "haproxy": 9200, "node": 9100}
NOBODY: dict[str, list[str]] = {"edge": [], "inference": [], "haproxy": []}
PRIVATE = load("roles/firewall/defaults/main.yml")["firewall_edge_clients"]


def rules(carries: list[str], transport: str, clients: dict[str, list[str]], *allow: dict[str, Any]) -> list[str]:
    found: list[str] = FIREWALL.lines(FIREWALL.grants(list(allow), carries, transport, PORTS, clients))
    return found


def test_inference_has_no_port_behind_a_tunnel() -> None:
    assert rules(["inference"], "ssh_tunnel", {**NOBODY, "inference": ["192.0.2.1"]}) == []


def test_inference_on_a_tailnet_is_let_in_by_its_interface_alone() -> None:
    assert rules(["inference"], "tailscale", NOBODY) == [
        'iifname "tailscale0" tcp dport 9000 counter accept comment "inference"',
        'udp dport 41641 counter accept comment "tailscale: direct paths"',
    ]


def test_direct_inference_is_for_the_edges_in_both_families() -> None:
    assert rules(["inference"], "direct", {**NOBODY, "inference": ["192.0.2.1", "2001:db8::1"]}) == [
        'ip saddr { 192.0.2.1/32 } tcp dport 9000 counter accept comment "inference"',
        'ip6 saddr { 2001:db8::1/128 } tcp dport 9000 counter accept comment "inference"',
    ]


@pytest.mark.parametrize(
    ("transport", "expected"), [("direct", "ip saddr"), ("ssh_tunnel", "ip saddr"), ("tailscale", "iifname")]
)
def test_balancer_is_for_the_edges(transport: str, expected: str) -> None:
    (line,) = [one for one in rules(["haproxy"], transport, {**NOBODY, "haproxy": ["192.0.2.1"]}) if "haproxy" in one]
    assert line.startswith(expected)
    assert 'tcp dport 9200 counter accept comment "haproxy"' in line


@pytest.mark.parametrize("carries", ["edge", "haproxy", "inference"])
def test_no_clients_is_nobody(carries: str) -> None:
    assert rules([carries], "direct", NOBODY) == []


def test_allowed_ports_are_let_in_as_asked() -> None:
    asked = {"port": "8000-8010", "protocol": "udp", "from": ["10.1.0.0/16", "10.1.2.0/24"], "interface": "eth0"}
    assert rules([], "direct", NOBODY, asked) == [
        'iifname "eth0" ip saddr { 10.1.0.0/16 } udp dport 8000-8010 counter accept comment "firewall_allow"'
    ]
    assert rules([], "direct", NOBODY, {"port": 53, "comment": "pi-hole"}) == [
        'tcp dport 53 counter accept comment "pi-hole"'
    ]


def ip_addr(*rows: dict[str, Any]) -> str:
    return json.dumps([{"ifname": "eth0", "addr_info": list(rows)}])


def test_addresses_of_an_edge() -> None:
    """Not those that mean the host itself, and a prefix for what changes by the day."""
    listing = ip_addr(
        {"family": "inet", "local": "127.0.0.1", "prefixlen": 8},
        {"family": "inet", "local": "192.168.1.20", "prefixlen": 24, "dynamic": True},
        {"family": "inet6", "local": "fe80::1", "prefixlen": 64},
        {"family": "inet6", "local": "2001:db8:1:2:aaaa::1", "prefixlen": 64, "dynamic": True},
        {"family": "inet6", "local": "fd7a:115c:a1e0::1", "prefixlen": 128},
    )
    assert FIREWALL.sources([listing, "[]"]) == ["192.168.1.20", "2001:db8:1:2::/64", "fd7a:115c:a1e0::1"]


LISTENING = """\
udp   UNCONN 0      0            0.0.0.0:5353      0.0.0.0:*    users:(("avahi-daemon",pid=390,fd=12))
udp   UNCONN 0      0            0.0.0.0:45821     0.0.0.0:*    users:(("avahi-daemon",pid=390,fd=14))
udp   UNCONN 0      0            0.0.0.0:68        0.0.0.0:*    users:(("dhclient",pid=500,fd=7))
udp   UNCONN 0      0      192.168.1.2%eth0:123     0.0.0.0:*    users:(("ntpd",pid=501,fd=7))
tcp   LISTEN 0      128          0.0.0.0:22        0.0.0.0:*    users:(("sshd",pid=600,fd=3))
tcp   LISTEN 0      128             [::]:22           [::]:*    users:(("sshd",pid=600,fd=4))
tcp   LISTEN 0      4096   127.0.0.53%lo:53        0.0.0.0:*    users:(("systemd-resolve",pid=300,fd=14))
tcp   LISTEN 0      244            [::1]:5432         [::]:*    users:(("postgres",pid=700,fd=5))
tcp   LISTEN 0      244 [::ffff:127.0.0.1]:9100          *:*    users:(("java",pid=710,fd=5))
"""
OTHERS = """\
udp   UNCONN 0      0            0.0.0.0:51820     0.0.0.0:*
udp   UNCONN 0      0               [::]:51820        [::]:*
udp   UNCONN 0      0            0.0.0.0:53        0.0.0.0:*    users:(("pihole-FTL",pid=800,fd=4))
tcp   LISTEN 0      32                 *:8123            *:*    users:(("hass",pid=900,fd=4),("hass",pid=901,fd=4))
"""


def cut(text: str, *allow: dict[str, Any], may: tuple[str, ...] = (), ssh: tuple[int, ...] = (22,)) -> list[str]:
    granted = FIREWALL.grants(list(allow), ["edge"], "direct", PORTS, {**NOBODY, "edge": PRIVATE})
    return [f"{one['port']}/{one['protocol']} {one['process']}" for one in FIREWALL.unadmitted(text, granted, ssh, may)]


def test_host_that_has_nothing_of_its_own_is_cut_off_from_nobody() -> None:
    assert cut(LISTENING) == []


def test_services_that_would_be_cut_are_named_once_each() -> None:
    assert cut(LISTENING + OTHERS) == ["53/udp pihole-FTL", "8123/tcp hass", "51820/udp the kernel"]


def test_a_rule_of_its_protocol_or_a_word_that_it_may_be_cut_is_an_answer() -> None:
    assert cut(OTHERS, {"port": 53}, {"port": "8000-9000"}, may=("51820/udp",)) == ["53/udp pihole-FTL"]
    assert cut(OTHERS, {"port": "53", "protocol": "udp"}, {"port": 8123}, may=("51820/udp",)) == []


def test_sshd_on_a_port_that_is_shut_is_named() -> None:
    assert cut(LISTENING, ssh=(2222,)) == ["22/tcp sshd"]


def environment() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(ROOT / "roles/firewall/templates")
    found = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined, trim_blocks=True)  # noqa: S701 (rules and units, no HTML)
    found.filters.update(FIREWALL.FilterModule().filters())
    return found


def test_rules_replace_our_own_table_and_name_no_other() -> None:
    granted = FIREWALL.grants([{"port": 1}], ["edge"], "tailscale", PORTS, {**NOBODY, "edge": PRIVATE})
    text = environment().get_template("rules.nft.j2").render(firewall__listed=[22, 2222], firewall__grants=granted)
    statements = [line for line in text.splitlines() if line and not line.startswith(("#", " "))]
    assert statements == ["table inet cerebrum {}", "delete table inet cerebrum", "table inet cerebrum {", "}"]
    assert re.findall(r"hook (\w+)", text) == ["input"]
    assert "tcp dport { 22, 2222 }" in text


@pytest.mark.parametrize("name", ["cerebrum-firewall.service", "cerebrum-firewall-undo.service"])
def test_exposure_of_the_rendered_unit_is_at_most_1_2(name: str, tmp_path: Path) -> None:
    values = load("roles/firewall/vars/main.yml")
    unit = tmp_path / name
    template = environment().get_template("unit.service.j2")
    unit.write_text(template.render(item=name, firewall__unit=values["firewall__unit"], firewall__folder="/etc/x"))
    done = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=12", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("service", ["edge", "haproxy", "inference"])
def test_port_that_is_opened_is_the_one_that_the_service_takes(service: str) -> None:
    port = load(f"roles/{service}/defaults/main.yml")[f"{service}_port"]
    default = load("roles/firewall/defaults/main.yml")[f"firewall_{service}_port"]
    assert default == f"{{{{ {service}_port | default({port}) }}}}"


def test_the_monitoring_host_is_let_in_where_others_may_not_be_and_behind_a_tunnel_nowhere() -> None:
    clients = {**NOBODY, "edge": ["192.168.0.0/16"], "monitors": ["192.0.2.7", "2001:db8::7"]}
    assert rules(["inference", "node"], "direct", {**NOBODY, "monitors": ["192.0.2.7"]}) == [
        'ip saddr { 192.0.2.7/32 } tcp dport 9000 counter accept comment "inference: monitoring"',
        'ip saddr { 192.0.2.7/32 } tcp dport 9100 counter accept comment "node: monitoring"',
    ]
    assert rules(["edge", "node"], "ssh_tunnel", clients) == [
        'ip saddr { 192.168.0.0/16 } tcp dport 7000 counter accept comment "edge"',
        'ip saddr { 192.0.2.7/32 } tcp dport 7000 counter accept comment "edge: monitoring"',
        'ip6 saddr { 2001:db8::7/128 } tcp dport 7000 counter accept comment "edge: monitoring"',
        'ip saddr { 192.0.2.7/32 } tcp dport 9100 counter accept comment "node: monitoring"',
        'ip6 saddr { 2001:db8::7/128 } tcp dport 9100 counter accept comment "node: monitoring"',
    ]
    assert rules(["inference"], "ssh_tunnel", {**NOBODY, "monitors": ["192.0.2.7"]}) == []


def test_on_a_tailnet_the_exporter_is_let_in_by_its_interface_alone() -> None:
    assert 'iifname "tailscale0" tcp dport 9100 counter accept comment "node"' in rules(
        ["edge", "node"], "tailscale", NOBODY
    )
