"""Molecule reports success for steps that it did not run. Each way that is known is guarded here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.repo import ROOT, SCENARIOS, load

BASE = load(".config/molecule/config.yml")


def scenario(name: str) -> dict[str, Any]:
    found: dict[str, Any] = load(f"molecule/{name}/molecule.yml")
    return found


def steps(name: str) -> list[str]:
    own = scenario(name).get("scenario", {}).get("test_sequence")
    return list(own or BASE["scenario"]["test_sequence"])


def playbooks(name: str) -> dict[str, str]:
    own = scenario(name).get("provisioner", {}).get("playbooks", {})
    return {**BASE["provisioner"]["playbooks"], **own}


def resolve(name: str, path: str) -> Path:
    if path.startswith("${MOLECULE_PROJECT_DIRECTORY}"):
        return ROOT / path.removeprefix("${MOLECULE_PROJECT_DIRECTORY}/")
    return ROOT / "molecule" / name / path


@pytest.mark.parametrize("name", SCENARIOS)
def test_verify_gets_folders_that_hold_tests(name: str) -> None:
    """With a file, or with a folder that is not there, it finds no tests and says Successful."""
    verifies = [step.split() for step in steps(name) if step.split()[0] == "verify"]
    assert verifies, "a scenario that verifies nothing"
    for _, *arguments in verifies:
        folders = [ROOT / "molecule" / name / argument for argument in arguments or ["tests/"]]
        for folder in folders:
            assert folder.is_dir(), folder
            found = [path for path in folder.glob("test_*.py") if "def test_" in path.read_text(encoding="utf-8")]
            assert found, f"{folder} holds no tests"


@pytest.mark.parametrize("name", SCENARIOS)
def test_side_effects_exist_and_have_a_default_beside_them(name: str) -> None:
    """Without a default side_effect playbook, the argument is not run."""
    effects = [step.split() for step in steps(name) if step.split()[0] == "side_effect"]
    for _, *arguments in effects:
        assert arguments, "a side effect without a playbook"
        assert resolve(name, playbooks(name).get("side_effect", "side_effect.yml")).is_file()
        for argument in arguments:
            assert resolve(name, argument).is_file(), argument


@pytest.mark.parametrize("name", SCENARIOS)
def test_steps_that_ignore_arguments_get_none(name: str) -> None:
    """`converge upgrade.yml` runs the usual converge."""
    for step in steps(name):
        verb, *arguments = step.split()
        assert verb in {"verify", "side_effect"} or not arguments, step


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_step_has_its_playbook(name: str) -> None:
    """A step without one is counted as missing, and rc is 0."""
    needs = {"check": "converge", "idempotence": "converge"}
    for step in steps(name):
        verb = step.split()[0]
        if verb != "verify":
            key = needs.get(verb, verb)
            assert resolve(name, playbooks(name).get(key, f"{key}.yml")).is_file(), step


@pytest.mark.parametrize("name", SCENARIOS)
def test_hosts_are_checked_virgin_and_twice(name: str) -> None:
    verbs = [step.split()[0] for step in steps(name)]
    assert verbs[0] == verbs[-1] == "destroy"
    if "converge" not in verbs:
        assert name == "lab", "a scenario that deploys nothing"
        return
    assert verbs.index("check") < verbs.index("converge") < verbs.index("idempotence")


@pytest.mark.parametrize("name", SCENARIOS)
def test_one_dialect_and_one_verifier(name: str) -> None:
    """A scenario's `ansible:` section, or a verifier of its own, would replace the shared configuration in silence."""
    assert set(scenario(name)) <= {"provisioner", "platforms", "scenario"}


def test_runner_names_the_base_configuration_and_looks_for_what_was_left_out() -> None:
    script = (ROOT / "scripts/molecule.sh").read_text(encoding="utf-8")
    assert "-c .config/molecule/config.yml" in script
    assert "missing=[1-9]" in script
    assert "no tests (found|ran)" in script


def test_converge_is_the_shipped_site() -> None:
    (play,) = load("molecule/resources/converge.yml")
    assert (ROOT / "molecule/resources" / play["ansible.builtin.import_playbook"]).resolve() == ROOT / "site.yml"
