"""The roles' own words for bad input: two plays at a time give each of them some."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import playbooks
from support.repo import ROOT, load

# A case takes a second, of one processor.
pytestmark = pytest.mark.timeout(900)
PLAYS = 2

CASES = yaml.safe_load((ROOT / "tests/meta/refusals.yml").read_text(encoding="utf-8"))


def told(number: int, folder: Path) -> dict[str, Any]:
    """A task that writes the message of the case that was just refused."""
    return {
        "name": "Refusal is told",
        "ansible.builtin.copy": {
            "dest": str(folder / str(number)),
            # A loop's own message is only that some item failed; the terminal shows the items', and so does this.
            "content": "{{ ansible_failed_result.results | default([ansible_failed_result]) | selectattr('failed')"
            " | map(attribute='msg') | join(' ') }}",
            "mode": "0600",
        },
        "check_mode": False,
    }


def refused(numbers: Sequence[int], folder: Path) -> str:
    """One play that refuses these cases in turn. A task each, with the case's variables as its own: that is how a
    playbook gives a role its variables."""
    tasks = [
        {
            "name": "Role is given bad input",
            "block": [
                {
                    "name": "Role runs",
                    "ansible.builtin.include_role": {"name": CASES[number]["role"]},
                    "vars": CASES[number]["vars"],
                }
            ],
            "rescue": [told(number, folder)],
        }
        for number in numbers
    ]
    play = {
        "name": "Bad input is refused",
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": True,
        "gather_subset": ["min", "hardware"],
        "tasks": tasks,
    }
    book = folder / f"play-{numbers[0]}.yml"
    book.write_text(yaml.safe_dump([play]), encoding="utf-8")
    return str(playbooks.play(book, "--check", inventory="localhost,").stdout)


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Every case's message, by the case."""
    folder = tmp_path_factory.mktemp("refusals")
    with ThreadPoolExecutor(PLAYS) as plays:
        said = list(plays.map(lambda first: refused(range(first, len(CASES), PLAYS), folder), range(PLAYS)))
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("[0-9]*")}
    assert found, said
    return found


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: f"{CASES[number]['role']}-{number}")
def test_bad_input_is_refused_in_words_that_help(number: int, refusals: dict[str, str]) -> None:
    case = CASES[number]
    assert str(number) in refusals, f"accepted: {case}"
    message = refusals[str(number)]
    assert "Unexpected failure" not in message
    for word in case["words"]:
        assert str(word) in message, message


def test_numbers_and_booleans_of_the_command_line_are_text_and_taken_all_the_same(tmp_path: Path) -> None:
    """`-e edge_port=7001` is a string to Ansible, whatever the specification says: it only looks whether it could be a
    number. A preflight that compares it must turn it into one."""
    play = {
        "name": "Text where numbers are meant",
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": True,
        "gather_subset": ["min", "hardware"],
        "tasks": [
            {
                "name": "Preflight runs",
                "ansible.builtin.include_role": {"name": str(ROOT / f"roles/{role}"), "tasks_from": "preflight"},
                "vars": values,
            }
            for role, values in text_values().items()
        ],
    }
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]), encoding="utf-8")
    done = playbooks.play(tmp_path / "play.yml", "--check", inventory="localhost,")
    assert done.returncode == 0, done.stdout


def text_values() -> dict[str, dict[str, Any]]:
    """Every default of the roles with ranges, numbers as text."""
    needed: dict[str, dict[str, Any]] = {
        "edge": {
            **load("roles/edge/vars/main.yml"),
            "edge_open": "true",
            "edge_backends": [{"name": "vps", "url": "http://127.0.0.1:9000"}],
            "edge_upstreams": [{"name": "gpu", "url": "http://127.0.0.1:8000/v1", "first_byte_timeout": "60"}],
        },
        "inference": {"role_path": str(ROOT / "roles/inference")},
        "app": {
            "app_service": "edge",
            "app_user": "nobody",
            "app_listen": ["127.0.0.1:7000"],
            "app_cache": "/nonexistent",
        },
    }
    found: dict[str, dict[str, Any]] = {}
    for role, more in needed.items():
        defaults = yaml.safe_load((ROOT / f"roles/{role}/defaults/main.yml").read_text(encoding="utf-8"))
        texts = {name: str(value) if isinstance(value, int) else value for name, value in defaults.items()}
        found[role] = {**texts, **more}
    return found
