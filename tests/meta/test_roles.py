"""Every role is specified, its defaults are what its specification says, and its README tells the same."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import pytest

from support.repo import ROLES, ROOT, load


def specs(role: str) -> dict[str, Any]:
    found: dict[str, Any] = load(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]["main"]
    return found


@pytest.mark.parametrize("role", ROLES)
def test_specs_equal_the_defaults(role: str) -> None:
    options = specs(role)["options"]
    assert {name: option.get("default") for name, option in options.items()} == load(f"roles/{role}/defaults/main.yml")


@pytest.mark.parametrize("role", ROLES)
def test_every_option_is_typed_described_and_prefixed(role: str) -> None:
    assert specs(role)["short_description"]
    for name, option in specs(role)["options"].items():
        assert option.get("type"), name
        assert option.get("description"), name
        assert name.startswith(f"{role}_"), name
        assert option["type"] != "list" or option.get("elements"), name


@pytest.mark.parametrize("role", ROLES)
def test_specs_run_because_the_role_is_entered_by_its_front_door(role: str) -> None:
    """`tasks_from` with another file than main skips the validation without a word. Preflight does it by hand."""
    for path in [*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("playbooks/*.yml"), *ROOT.glob("molecule/**/*.yml")]:
        if path.parent.parent.name != "preflight":
            assert "tasks_from" not in path.read_text(encoding="utf-8"), path


# They look, or save, or take away: what could not be deployed must still be seen, saved and removed.
WITHOUT_PREFLIGHT = {"backup", "doctor", "logs", "restore", "status", "uninstall"}
# With a part of the system down they tell of the rest.
TELL = {"doctor", "logs", "status"}
# Roles that no deployment begins with, so that nothing was checked for them before.
ALONE = {"app", "backup", "lab_host", "logs", "service_absent", "survey"}


def stages(role: str) -> list[dict[str, Any]]:
    """A role's main tasks; where it can be absent, those of its being there."""
    found: list[dict[str, Any]] = load(f"roles/{role}/tasks/main.yml")
    parted = found[0].get("ansible.builtin.include_tasks") == "present.yml"
    return list(load(f"roles/{role}/tasks/present.yml")) if parted else found


def test_preflight_knows_every_role_that_plays_give_to_hosts() -> None:
    """And comes before all of them, whichever playbook is run. Role app has no variables of people's own."""
    text = (ROOT / "playbooks/preflight.yml").read_text(encoding="utf-8")
    for path in [*ROOT.glob("playbooks/*.yml"), ROOT / "site.yml"]:
        plays = load(path)
        given = [role["role"] for play in plays for role in play.get("roles", [])]
        tasks = [task for play in plays if play.get("hosts") != "localhost" for task in play.get("tasks", [])]
        given += [
            task["ansible.builtin.include_role"]["name"] for task in tasks if "ansible.builtin.include_role" in task
        ]
        for role in set(given) - {"preflight"} if path.stem not in WITHOUT_PREFLIGHT else ():
            assert f"'{role}'" in text or role in {"tailscale", "ssh_tunnel", "app"}, f"{path.name}: {role}"
        if path.stem in WITHOUT_PREFLIGHT:
            continue
        if set(given) - {"preflight", "transport"}:
            assert plays[0].get("ansible.builtin.import_playbook") == "preflight.yml", path.name


@pytest.mark.parametrize("role", ROLES)
def test_main_only_routes(role: str) -> None:
    if role == "service_user":
        return  # one stage of three tasks
    for task in [*load(f"roles/{role}/tasks/main.yml"), *stages(role)]:
        (routes,) = set(task) - {"name", "when"}
        assert routes in {"ansible.builtin.include_tasks", "ansible.builtin.import_tasks"}, task["name"]
        # An import costs no task of its own, but would evaluate a condition for each task in it.
        included = routes == "ansible.builtin.include_tasks"
        assert included == ("when" in task) or role == "lab_host", task["name"]


def test_a_role_checks_itself_unless_it_was_checked_in_this_run() -> None:
    """What playbooks/preflight.yml has asked is not asked again, and a role that is used alone asks by itself."""
    for path in ROOT.glob("roles/*/tasks/preflight.yml"):
        role = path.parents[1].name
        first = stages(role)[0]
        named = first.get("ansible.builtin.include_tasks") or first.get("ansible.builtin.import_tasks")
        assert named == "preflight.yml", role
        allowed = [f"'{role}' not in preflight_passed | default([])"]
        assert first.get("when") in ([None] if role in ALONE else allowed), role


def test_readmes_are_what_the_specs_say() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/role_readmes.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def render_unit(service: str, denied: list[str], devices: Sequence[str] = ()) -> str:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)  # noqa: S701 (a unit file, no HTML)
    template = environment.from_string((ROOT / "roles/app/templates/instance.service.j2").read_text(encoding="utf-8"))
    return template.render(
        app_service=service,
        app_user=f"cerebrum-{service}",
        app_credentials={"vps": "/etc/cerebrum/edge/keys/vps"} if service == "edge" else {},
        app_syscalls_denied=denied,
        app_devices=devices,
        app_memory_max="infinity",
        app_start_timeout=120,
        app_drain_seconds=25,
        app__instance="0.1.0-abc.def",
        app__release_dir=f"/opt/cerebrum/{service}/releases/0.1.0-abc",
        app__socket=f"cerebrum-{service}.socket",
    )


def render_fetch() -> str:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)  # noqa: S701 (a unit file, no HTML)
    template = environment.from_string((ROOT / "roles/models/templates/fetch.service.j2").read_text(encoding="utf-8"))
    return template.render(
        models_tool="/opt/cerebrum/inference/releases/0.1.0-abc/venv/bin/cerebrum-models",
        models_store="/var/lib/cerebrum/models",
        models_timeout=30,
        models_hf_token="word",
        models_hf_endpoint="https://mirror",
        models__to_fetch=[{"id": "qwen_7b"}],
        **{name: value for name, value in load("roles/models/vars/main.yml").items() if "{{" not in value},
    )


def test_token_is_not_in_the_unit_that_fetches() -> None:
    assert "word" not in render_fetch()
    assert "\nLoadCredential=hf_token:/run/" in render_fetch()


@pytest.mark.parametrize("service", ["edge", "inference", "models-fetch"])
def test_exposure_of_the_rendered_unit_is_at_most_1_2(service: str, tmp_path: Path) -> None:
    unit = tmp_path / f"cerebrum-{service}@test.service"
    if service == "models-fetch":
        unit.write_text(render_fetch(), encoding="utf-8")
    else:
        (run,) = load(f"roles/{service}/tasks/run.yml")
        default = load("roles/app/defaults/main.yml")["app_syscalls_denied"]
        unit.write_text(render_unit(service, run["vars"].get("app_syscalls_denied", default)), encoding="utf-8")
    assert_exposure(unit)


def test_exposure_of_the_tunnel_s_unit_is_at_most_1_2() -> None:
    assert_exposure(ROOT / "roles/ssh_tunnel/files/cerebrum-tunnel@.service")


@pytest.mark.parametrize("kind", ["vulkan", "cuda"])
def test_unit_with_a_gpu_sees_its_devices_and_no_others(kind: str, tmp_path: Path) -> None:
    devices = load("roles/inference/vars/main.yml")["inference__devices"]
    assert devices["none"] == []
    unit = tmp_path / "cerebrum-inference@test.service"
    unit.write_text(render_unit("inference", ["@privileged"], devices[kind]), encoding="utf-8")
    lines = unit.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("DeviceAllow=")] == [
        f"DeviceAllow={one} rw" for one in devices[kind]
    ]
    assert {"DevicePolicy=closed", "PrivateDevices=no"} <= set(lines)
    assert "PrivateDevices=yes" not in lines
    assert_exposure(unit, at_most=14)  # 0.2 more, for the devices: docs/gpu.md says so


def assert_exposure(unit: Path, *, at_most: int = 12) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", "--offline=true", f"--threshold={at_most}", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"Overall exposure level for .*: (0|1)\.\d OK", done.stdout), done.stdout


def test_unit_shares_its_socket_without_blocking() -> None:
    assert "\nNonBlocking=yes\n" in render_unit("edge", [])


@pytest.mark.parametrize("path", sorted(ROOT.glob("playbooks/*.yml")), ids=lambda path: path.name)
def test_a_play_on_hosts_stops_everywhere_when_one_fails(path: Path) -> None:
    for play in load(path):
        if "hosts" in play and play["hosts"] != "localhost":
            assert play.get("any_errors_fatal") is (path.stem not in TELL), play["name"]


def test_example_inventory_marks_what_a_person_must_set() -> None:
    hosts = (ROOT / "inventories/example/hosts.yml").read_text(encoding="utf-8")
    for line in hosts.splitlines():
        if re.match(r"\s+(ansible_host|ansible_user|inference_address):", line):
            assert "# SET" in line, line
    every = (ROOT / "inventories/example/group_vars/all/vars.yml").read_text(encoding="utf-8")
    assert re.search(r"^cerebrum_transport: \w+ +# SET", every, re.MULTILINE)


def test_inventories_hold_only_variables_that_exist() -> None:
    known = {name for role in ROLES for name in specs(role)["options"]}
    for path in ROOT.glob("inventories/*/**/*.yml"):
        text = path.read_text(encoding="utf-8")
        prefixes = "edge|inference|models|base|app|api_key|ssh_tunnel|tailscale|transport"
        for name in re.findall(rf"^\s*#? ?((?:{prefixes})_\w+):", text, re.MULTILINE):
            assert name in known, f"{path}: {name}"
