"""What role api_key decides, by itself: several edges and inference hosts, long names, ages, and every interruption."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import pytest

from cerebrum_kit.keys import parse_keys
from support.playbooks import plugin

EARLIER, LATER = "2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z"


role: Any = plugin("roles/api_key/filter_plugins/api_key.py")


def digest(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


class World:
    """An inference host and its edges, with the steps of the role's tasks; any of them may be the last of a run."""

    def __init__(self, edges: list[str]) -> None:
        self.text = ""
        self.held = dict.fromkeys(edges, "")
        self.waiting = dict.fromkeys(edges, "")
        self.running: dict[str, list[str]] = {edge: [] for edge in edges}
        self.made = 0

    def run(self, steps: int, *, rotate: bool = False) -> int:
        """A play that ends after so many steps; returns how many there were."""
        done = 0
        for step in self._steps(rotate):
            if done == steps:
                return done
            step()
            done += 1
            self.check()
        return done

    def _steps(self, rotate: bool) -> Any:
        plan = role.plan(self.text, self.held, self.waiting, rotate)
        for edge in [edge for edge, row in plan.items() if row["makes"]]:
            yield lambda edge=edge: self._make(edge)
        yield self._admit
        for edge in self.held:
            yield lambda edge=edge: self._take_place(edge)
        for edge in self.held:
            yield lambda edge=edge: self.running[edge].append(self.held[edge])
            yield lambda edge=edge: self.running.update({edge: [self.held[edge]]})
        yield self._settle

    def _make(self, edge: str) -> None:
        self.made += 1
        self.waiting[edge] = digest(self.made)

    def _admit(self) -> None:
        self.text = role.admitted(self.text, self.waiting, LATER)

    def _take_place(self, edge: str) -> None:
        self.held[edge], self.waiting[edge] = self.waiting[edge] or self.held[edge], ""

    def _settle(self) -> None:
        found = role.settlement(self.text, self.held, self.running)
        stale = [key for row in found["holders"].values() if row["moved"] for key in row["stale"]]
        self.text = role.without(self.text, stale + found["orphans"])

    def check(self) -> None:
        admitted = {key.digest.hex() for key in parse_keys(self.text)}
        for edge, keys in self.running.items():
            assert set(keys) <= admitted, f"{edge} runs with a key that is not admitted"
            assert not keys or self.held[edge] in admitted, f"{edge} would start with a key that is not admitted"


@pytest.mark.parametrize("seed", range(200))
def test_runs_that_end_anywhere_never_leave_an_edge_without_a_key_and_are_completed(seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 (which runs are tried)
    world = World(["pi", "pi.attic", "x" * 70])
    for _ in range(6):
        world.run(dice.randrange(20), rotate=dice.random() < 0.7)
    world.run(100)
    assert {key.digest.hex() for key in parse_keys(world.text)} == set(world.held.values())
    assert len(set(world.held.values())) == 3
    before, made = dict(world.held), world.made
    world.run(100)
    assert (world.held, world.made) == (before, made), "a run with nothing to do makes no key"
    world.run(100, rotate=True)
    assert all(world.held[edge] != before[edge] for edge in before)


def test_interrupted_exchange_is_completed_with_its_own_key() -> None:
    whole = World(["pi"])
    whole.run(100)
    for steps in range(1, whole.run(100, rotate=True)):
        world = World(["pi"])
        world.run(100)
        world.run(steps, rotate=True)
        world.run(100, rotate=True)
        assert world.made == 2, f"interrupted after step {steps}, a third key was made"


def test_key_of_a_deployment_before_ids_stays_until_it_is_rotated() -> None:
    text = f"pi {digest(1)} {EARLIER}\n"
    assert not role.plan(text, {"pi": digest(1)}, {"pi": ""})["pi"]["makes"]
    assert role.plan(text, {"pi": digest(1)}, {"pi": ""}, True)["pi"]["makes"]
    after = role.admitted(text, {"pi": digest(2)}, LATER)
    found = role.settlement(after, {"pi": digest(2)}, {"pi": [digest(2)]})
    assert found["holders"]["pi"] == {"id": f"pi.{digest(2)[:8]}", "stale": ["pi"], "moved": True}


@pytest.mark.parametrize(("created", "makes"), [(EARLIER, True), ("2026-02-15", False), (LATER, True), ("-", True)])
def test_only_old_keys_are_rotated_and_a_time_that_cannot_be_is_old(created: str, makes: bool) -> None:
    text = f"pi {digest(1)} {created}\n"
    plan = role.plan(
        text, {"pi": digest(1)}, {"pi": ""}, True, cutoff="2026-02-01T00:00:00Z", now="2026-02-28T00:00:00Z"
    )
    assert plan["pi"]["makes"] is makes


def test_lines_of_people_and_of_other_hosts_are_told_apart() -> None:
    text = f"# a comment\nlaptop {digest(1)} -\nold-pi.{digest(2)[:8]} {digest(2)} -\npi {digest(3)} -\n\n"
    found = role.settlement(text, {"pi": digest(3)}, {"pi": [digest(3)]})
    assert (found["orphans"], found["others"]) == ([f"old-pi.{digest(2)[:8]}"], ["laptop"])
    assert role.without(text, found["orphans"]) == f"# a comment\nlaptop {digest(1)} -\npi {digest(3)} -\n\n"


def test_ids_of_long_names_are_valid_and_differ() -> None:
    names = ["n" * 64, "n" * 63 + "m", "n" * 55, "n" * 253]
    text = role.admitted("", {name: digest(number) for number, name in enumerate(names)}, LATER)
    keys = parse_keys(text)
    assert len({key.id for key in keys}) == len(names)
    found = role.settlement(
        text, {name: digest(number) for number, name in enumerate(names)}, {name: [] for name in names}
    )
    assert all(not row["stale"] for row in found["holders"].values())


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("secret-key-pasted", "line 2 is not"),
        (f"a b {digest(1)}", "line 2 is not"),
        (f"pi {digest(2)} -", "line 2 has the id of line 1"),
        (f"other {digest(1)} -", "line 2 has the digest of line 1"),
    ],
)
def test_broken_lines_are_named_and_not_shown(line: str, problem: str) -> None:
    (found,) = role.problems(f"pi {digest(1)} -\n{line}\n")
    assert found.startswith(problem)
    assert line not in found


def test_keys_of_prometheus_and_of_an_edge_on_the_same_host_are_two_and_leave_each_other_alone() -> None:
    text = role.admitted("", {"pi": digest(1)}, "now")
    text = role.admitted(text, {"pi": digest(2)}, "now", "prometheus")
    assert [line.split()[0] for line in text.splitlines()] == [f"pi.{digest(1)[:8]}", f"prometheus.pi.{digest(2)[:8]}"]
    edges = role.settlement(text, {"pi": digest(1)}, {"pi": [digest(1)]})
    assert edges == {
        "holders": {"pi": {"id": f"pi.{digest(1)[:8]}", "stale": [], "moved": True}},
        "orphans": [],
        "others": [],
    }
    assert role.settlement(text, {}, {})["orphans"] == [f"pi.{digest(1)[:8]}"]
    # Nobody watches any more: its key goes, and no other.
    assert role.settlement(text, {}, {}, "prometheus") == {
        "holders": {}, "orphans": [f"prometheus.pi.{digest(2)[:8]}"], "others": [],
    }  # fmt: skip
    plan = role.plan(text, {"pi": digest(2)}, {"pi": ""}, purpose="prometheus")
    assert plan["pi"]["why"] == f"key prometheus.pi.{digest(2)[:8]} (now) stays"
    assert role.plan(text, {"pi": digest(2)}, {"pi": ""})["pi"]["makes"]
