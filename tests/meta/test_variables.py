"""Every variable that a person sets is in docs/variables.md, and a wrong value of it is refused."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import yaml

from scripts import variables_page
from support import playbooks
from support.repo import ROLES, ROOT, load

# Nobody sets their variables in an inventory; those of the operators' playbooks come with -e (docs/operations.md).
INTERNAL = {"lab_host", "preflight", "service_absent", "service_user", "survey", "traces"}
INTERNAL |= {"backup", "doctor", "logs", "status"}
CASES = load("tests/meta/refusals.yml")
# Variables of which no value is wrong, or none that can be told before a host is touched.
REASONS = {
    "haproxy_extra": "lines that haproxy itself judges, before they replace anything",
    "app_cache": "a folder of the controller, which is made",
    "models_source": "a folder of the controller; where it holds no model's file, the next source is asked",
}
PREFLIGHT = playbooks.plugin("roles/preflight/filter_plugins/preflight.py")


def test_page_is_what_the_specs_say() -> None:
    command = [sys.executable, "-m", "scripts.variables_page", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_role_has_its_place_on_the_page_or_none() -> None:
    assert {*variables_page.SECTIONS, *INTERNAL} == set(ROLES)
    every = {
        name
        for role in ROLES
        for name in load(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    }
    assert every >= variables_page.NOT_FOR_PEOPLE


@pytest.mark.parametrize("role", variables_page.SECTIONS)
def test_a_wrong_value_of_every_variable_is_refused(role: str) -> None:
    refused = {name for case in CASES if case["role"] == role for name in case["vars"]}
    for name, option in variables_page.for_people(role).items():
        # Any text is a text, and -1 is a number: only what is listed or a boolean is refused by its type.
        assert "choices" in option or option["type"] == "bool" or name in refused or name in REASONS, name


KNOWN = ["edge_port", "edge_open", "inference_models", "models_hf_token", "cerebrum_transport"]
PREFIXES = ["edge", "inference", "models", "cerebrum"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("edge_prot", "edge_prot (did you mean edge_port?)"),
        ("edge_opne", "edge_opne (did you mean edge_open?)"),
        ("egde_port", "egde_port (did you mean edge_port?)"),
        ("Edge_port", "Edge_port (did you mean edge_port?)"),
        ("cerebrum_transprot", "cerebrum_transprot (did you mean cerebrum_transport?)"),
        ("inferance_models", "inferance_models (did you mean inference_models?)"),
        ("edge_xyzzy_quux", "edge_xyzzy_quux (there are edge_open, edge_port)"),
        ("cerebrum_q", "cerebrum_q (there are cerebrum_transport)"),
    ],
)
def test_a_misspelt_name_is_told_what_was_meant(name: str, said: str) -> None:
    assert PREFLIGHT.unknown([name, *KNOWN], KNOWN, PREFIXES) == [said]


@pytest.mark.parametrize(
    "name", ["vault_models_hf_token", "my_edge_port", "edge__inner", "inventory_hostname", "port", "edgeport_x"]
)
def test_names_of_others_are_theirs(name: str) -> None:
    assert PREFLIGHT.unknown([name], KNOWN, PREFIXES) == []


def test_two_that_would_listen_on_one_port_are_told() -> None:
    rows = [("edge_port", "9000"), ("haproxy_port", 9200), ("transport_tunnel_port of vps", 9000), ("other", "none")]
    assert PREFLIGHT.shared_ports(rows) == ["edge_port and transport_tunnel_port of vps are 9000."]
    assert PREFLIGHT.shared_ports(rows[1:]) == []


def test_a_text_for_a_list_is_told() -> None:
    options = {"a_list": {"type": "list"}, "a_text": {"type": "str"}}
    values: dict[str, Any] = {"a_list": "qwen_7b,tiny", "a_text": "x", "other": "y"}
    assert PREFLIGHT.texts_for_lists(options, values) == [
        "a_list is 'qwen_7b,tiny', a text; write a list, as [qwen_7b, tiny]."
    ]
    assert PREFLIGHT.texts_for_lists(options, {"a_list": ["qwen_7b"]}) == []
    (said,) = PREFLIGHT.texts_for_lists({"rows": {"type": "list", "elements": "dict"}}, {"rows": "{api_key: s3cret}"})
    assert "s3cret" not in said


@pytest.mark.parametrize(
    ("roles", "given", "said"),
    [
        (["models"], {"models_wanted": "cerebrum-tiny"}, "models_wanted is 'cerebrum-tiny', a text; write a list, as"),
        (["edge", "node_exporter"], {"edge_port": "9100"}, "edge_port and node_exporter_port are 9100. Give each"),
        (["edge", "ssh_tunnel"], {"edge_port": 9000}, "edge_port and transport_tunnel_port of localhost are 9000."),
    ],
)
def test_preflight_finds_it_in_an_inventory(roles: list[str], given: dict[str, Any], said: str, tmp_path: Any) -> None:
    play = {
        "name": "Preflight", "hosts": "edge:inference", "connection": "local", "gather_facts": False,
        "vars": {"preflight_roles": roles},
        "tasks": [{"name": "It looks", "ansible.builtin.include_role": {"name": "preflight"}}],
    }  # fmt: skip
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]), encoding="utf-8")
    groups = {group: {"hosts": {"localhost": given}} for group in ("edge", "inference")}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": groups}}), encoding="utf-8")
    done = playbooks.play(tmp_path / "play.yml", "--check", inventory=str(tmp_path / "hosts.yml"))
    assert done.returncode != 0
    assert said in " ".join(done.stdout.split())


@pytest.mark.parametrize("book", ["site.yml", "playbooks/upgrade.yml"])
def test_inventory_without_an_edge_is_no_success(book: str, tmp_path: Any) -> None:
    """A folder that -i misspells has no hosts, and nothing would fail."""
    done = playbooks.play(book, inventory=str(tmp_path / "hoem"))
    assert done.returncode == 2
    said = " ".join(done.stdout.split())
    assert f"The group `edge` of the inventory ({tmp_path}/hoem) has no hosts; its groups are none." in said


def test_drain_without_a_balancer_is_no_success(tmp_path: Any) -> None:
    inventory = {"all": {"children": {"edge": {"hosts": {"localhost": {"ansible_connection": "local"}}}}}}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(inventory), encoding="utf-8")
    words = ("-e", "host=vps", "-e", "state=drain", "-e", "preflight_passed=[]")
    done = playbooks.play("playbooks/drain.yml", *words, inventory=str(tmp_path / "hosts.yml"))
    assert done.returncode == 2
    assert "The inventory has no balancer (group `haproxy`)" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("limit", "mib"), [("512M", 512), ("7G", 7168), (512, 0), ("1048576K", 1024), ("80%", 800), ("infinity", 1000)]
)
def test_limit_of_memory_is_read_as_systemd_reads_it(limit: object, mib: int) -> None:
    assert playbooks.plugin("plugins/filter/memory.py").memory_limit_mib(limit, 1000) == mib
