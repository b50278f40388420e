"""What role haproxy decides, what its configuration says, and what its drop-in leaves the program."""

from __future__ import annotations

import ipaddress
import re
import string
import subprocess
from pathlib import Path
from typing import Any

import jinja2
from hypothesis import given
from hypothesis import strategies as st

from cerebrum_kit.errors import error_for_code
from support.playbooks import plugin
from support.repo import ROOT, load

role: Any = plugin("roles/haproxy/filter_plugins/haproxy.py")
VARS = load("roles/haproxy/vars/main.yml")
DEFAULTS = load("roles/haproxy/defaults/main.yml")
SERVERS = [{"name": "vps1", "address": "10.0.0.1:9000"}, {"name": "vps2", "address": "[fd00::2]:9000"}]
FOREIGN = {"name": "vllm", "port": 9201, "servers": [{"name": "gpu", "address": "10.0.0.9:8000"}]}
# As HAProxy 2.6 writes it.
HEAD = (
    "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight "
    "srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state "
    "bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr "
    "srv_agent_addr srv_agent_port"
)
ROW = "{} inference {} {} 10.0.0.1 2 {} 1 1 100 6 3 4 6 0 0 0 - 9000 - 0 0 - - 0"


def said(*servers: tuple[str, int]) -> str:
    rows = [ROW.format(4, number, name, admin) for number, (name, admin) in enumerate(servers, 1)]
    return "\n".join(["1", HEAD, *rows, "", ""])


def rendered(**more: Any) -> str:
    environment = jinja2.Environment(trim_blocks=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)  # noqa: S701 (no HTML)
    template = environment.from_string((ROOT / "roles/haproxy/templates/haproxy.cfg.j2").read_text(encoding="utf-8"))
    values = DEFAULTS | {name: value for name, value in VARS.items() if "{{" not in str(value)} | more
    pools = role.pools_of(values["haproxy_servers"], values["haproxy_port"], values["haproxy_pools"])
    return template.render(**values, haproxy__all=pools)


def test_pools_have_one_form_and_ours_is_the_first() -> None:
    ours, other = role.pools_of(SERVERS, "9200", [FOREIGN])
    assert (ours["name"], ours["port"], ours["check"]) == ("inference", 9200, "/ready")
    assert (other["name"], other["port"], other["check"]) == ("vllm", 9201, "/health")
    assert [pool["name"] for pool in role.pools_of([], 9200, [FOREIGN])] == ["vllm"]


def test_fine_pools_have_no_problems() -> None:
    assert role.problems(SERVERS, 9200, 8405, [FOREIGN]) == []


@given(st.text(max_size=30))
def test_endpoint_is_an_address_and_a_port(text: str) -> None:
    if role.is_endpoint(text):
        address, _, port = text.rpartition(":")
        ipaddress.ip_address(address.strip("[]"))
        assert 1 <= int(port) <= 65535


@given(st.text(alphabet=string.printable, max_size=12), st.text(alphabet=string.printable, max_size=24))
def test_what_has_no_problems_cannot_write_lines_of_its_own(name: str, address: str) -> None:
    servers = [{"name": name, "address": address}]
    if role.problems(servers, 9200, 8405, []) == []:
        (line,) = [line for line in rendered(haproxy_servers=servers).splitlines() if line.startswith("    server ")]
        assert line.split() == ["server", name, address, "check"]


@given(st.lists(st.tuples(st.from_regex(r"[a-z0-9.-]{1,8}", fullmatch=True), st.integers(0, 63)), max_size=6))
def test_only_what_was_drained_is_kept(servers: list[tuple[str, int]]) -> None:
    kept = role.drained(said(*servers))
    assert kept.splitlines()[0] == "1"
    assert [row["srv_name"] for row in role.states(kept)] == [name for name, admin in servers if admin & 8]
    assert role.drained(kept) == kept


def test_nothing_is_kept_of_a_program_that_says_nothing() -> None:
    assert role.drained("") == "1\n"
    assert role.mark("") == ""
    assert role.sessions("", "vps1") == -1


def test_server_is_set_where_it_is_not_as_wanted() -> None:
    text = said(("vps1", 0), ("vps2", 8))
    assert role.to_set(text, "vps1", "drain") == role.to_set(text, "vps2", "ready") == ["inference"]
    assert role.to_set(text, "vps1", "ready") == role.to_set(text, "vps2", "drain") == []


def test_sessions_and_the_mark_are_read() -> None:
    stat = "# pxname,svname,scur,smax,\ninference,vps1,2,3,\ninference,BACKEND,9,9,\nvllm,vps1,1,1,\n"
    assert role.sessions(stat, "vps1") == 3
    assert role.mark("Name: HAProxy\ndescription: cerebrum 0123abcd\nnode: x\n") == "0123abcd"


def test_errors_are_in_the_shape_and_with_the_codes_of_ours() -> None:
    for status, code, kind, message in VARS["haproxy__errors"]:
        cls = error_for_code(code)
        if cls is not None:
            assert (cls.status, cls.type) == (status, kind), message
        assert f'"code":"{code}","param":null,"request_id":"%[' in rendered(haproxy_servers=SERVERS)


def test_only_what_reached_no_host_is_repeated() -> None:
    text = rendered(haproxy_servers=SERVERS)
    assert re.findall(r"(?m)^ *retry-on (.*)$", text) == ["conn-failure"]
    assert "buffer" not in text, "streams go through as they come"


def test_exposure_of_debians_unit_with_the_drop_in_is_at_most_1_2(tmp_path: Path) -> None:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)  # noqa: S701 (a unit file, no HTML)
    text = (ROOT / "roles/haproxy/templates/sandbox.conf.j2").read_text(encoding="utf-8")
    unit = tmp_path / "haproxy.service"
    unit.write_text("[Service]\nType=notify\nExecStart=/bin/true\n" + environment.from_string(text).render())
    done = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=12", str(unit)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
