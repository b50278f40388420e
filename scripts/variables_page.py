"""Writes docs/variables.md, what a person can set, from the roles' argument_specs.

usage: python -m scripts.variables_page [--check]     with --check: only says whether the page is current
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from scripts.role_readmes import default, plain

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/variables.md"
# What each role's variables are about, in the order in which somebody meets them; other roles
# are set up by these.
SECTIONS = {
    "edge": "The edge",
    "inference": "Inference hosts",
    "models": "Models",
    "haproxy": "Balancer",
    "transport": "The way between them",
    "ssh_tunnel": "SSH tunnel",
    "tailscale": "Tailnet",
    "firewall": "Firewall",
    "base": "The hosts themselves",
    "prometheus": "Monitoring: what is measured",
    "alertmanager": "Monitoring: who is told",
    "node_exporter": "Monitoring: hosts",
    "probe": "Monitoring: the probe",
    "grafana": "Monitoring: Grafana",
    "api_key": "Keys between edge and inference host",
    "app": "Releases",
}
# Of these roles, people set only this; playbooks and other roles set the rest.
ONLY = {"api_key": {"api_key_older_than"}, "app": {"app_cache", "app_keep_releases"}}
# Set by playbooks and other roles too, or read from another variable that their text names.
NOT_FOR_PEOPLE = {
    "alertmanager_state", "edge_backends", "firewall_carries", "firewall_edge_port", "firewall_edges",
    "firewall_haproxy_edges",
    "firewall_haproxy_port", "firewall_inference_port", "haproxy_host", "haproxy_servers", "haproxy_stage",
    "haproxy_state", "firewall_transport", "inference_accelerator", "inference_holders", "models_instances",
    "models_tool", "models_wanted", "ssh_tunnel_state", "transport_kind", "firewall_monitors", "firewall_node_port",
    "grafana_state", "node_exporter_monitors", "node_exporter_state", "probe_state", "prometheus_state",
    "ssh_tunnel_monitors",
}  # fmt: skip
HEAD = """# Variables

What an inventory can set. A name that begins as a role's do and that no role knows is refused before a host is
touched, one that is almost such a name too, and so is a value that cannot be. `make new-inventory` writes the variables
that most people need; others go into `group_vars/` of your inventory, for all hosts (`all/vars.yml`) or for a group
(`edge.yml`, `inference.yml`), or to one host in `hosts.yml`.
"""
FOOT = """
Roles have a few more, which playbooks set: `roles/*/README.md`. Written by `scripts/variables_page.py` from
`roles/*/meta/argument_specs.yml`.
"""


def table(options: dict[str, dict[str, Any]]) -> list[str]:
    lines = ["| variable | type | default | what it is |", "|---|---|---|---|"]
    for name, option in options.items():
        kind = option.get("type", "str") + (f" of {option['elements']}" if "elements" in option else "")
        text = option["description"] if isinstance(option["description"], str) else " ".join(option["description"])
        named = "choices" in option and kind != "bool"
        choices = f" One of {', '.join(f'`{one}`' for one in option['choices'] if one)}." if named else ""
        lines.append(f"| `{name}` | {kind} | {default(option)} | {plain(text)}{choices} |")
        for inner, row in option.get("options", {}).items():
            lines.append(f"| · `{inner}` | {row['type']} | {default(row)} | {plain(row['description'])} |")
    return lines


def for_people(role: str) -> dict[str, dict[str, Any]]:
    """The options of a role that an inventory sets."""
    spec = yaml.safe_load((ROOT / f"roles/{role}/meta/argument_specs.yml").read_text(encoding="utf-8"))
    options: dict[str, dict[str, Any]] = spec["argument_specs"]["main"]["options"]
    wanted = ONLY.get(role, set(options) - NOT_FOR_PEOPLE)
    return {name: option for name, option in options.items() if name in wanted}


def page() -> str:
    site = yaml.safe_load((ROOT / "roles/preflight/vars/main.yml").read_text(encoding="utf-8"))["preflight__site"]
    lines = [HEAD, "## The whole site", "", *table(site)]
    for role, title in SECTIONS.items():
        lines += ["", f"## {title}", "", f"Role [{role}](../roles/{role}/README.md).", "", *table(for_people(role))]
    return "\n".join(lines) + "\n" + FOOT


def main() -> None:
    text = page()
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        if "--check" in sys.argv[1:]:
            sys.exit(f"not current: {PAGE.relative_to(ROOT)}; run `make docs`")
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
