"""What role api_key decides where a balancer stands before the hosts: one key for all of them, at every moment."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from support.playbooks import plugin

role: Any = plugin("roles/api_key/filter_plugins/api_key.py")
NOW = "2026-01-01T00:00:00Z"
Step = Callable[[], None]


class World:
    """A pool and its edges, with the steps of the role's tasks; any of them may be the last of a run."""

    def __init__(self, hosts: list[str], edges: list[str]) -> None:
        self.hosts = hosts
        self.texts: dict[str, str] = {}  # of hosts that were deployed to
        self.held = dict.fromkeys(edges, "")
        self.waiting = dict.fromkeys(edges, "")
        self.running: dict[str, set[str]] = {edge: set() for edge in edges}
        self.made = 0

    def run(self, order: list[str], steps: int, *, rotate: bool = False) -> int:
        """A play that goes through the hosts in this order and ends after so many steps; how many there were."""
        done = 0
        for step in self._steps(order, rotate):
            if done == steps:
                break
            step()
            done += 1
            self.check()
        return done

    def _steps(self, order: list[str], rotate: bool) -> Iterator[Step]:
        for host in order:
            yield from self._host(host, rotate)
        for edge in self.held:
            yield partial(self._start, edge)
            yield partial(self._stop_others, edge)
        for host in order:
            yield partial(self._settle, host)

    def _host(self, host: str, rotate: bool) -> Iterator[Step]:
        others = [self.texts.get(other, "") for other in self.hosts if other != host]
        maker = "" if host == self.hosts[0] else self.hosts[0]
        plan = role.plan(self.texts.get(host, ""), self.held, self.waiting, rotate, "", "", others, maker)
        for edge, row in plan.items():
            if row["makes"]:
                yield partial(self._make, edge)
        adopted = {edge: row["adopts"] for edge, row in plan.items()}
        yield partial(self._admit, host, adopted)
        if not maker:
            for other in [other for other in self.hosts if other != host and other in self.texts]:
                yield partial(self._admit, other, {})
            for edge in self.held:
                yield partial(self._take_place, edge)

    def _make(self, edge: str) -> None:
        self.made += 1
        self.waiting[edge] = hashlib.sha256(str(self.made).encode()).hexdigest()

    def _admit(self, host: str, adopted: dict[str, list[str]]) -> None:
        text = role.admitted(self.texts.get(host, ""), adopted, NOW)
        self.texts[host] = role.admitted(text, self.waiting, NOW)

    def _take_place(self, edge: str) -> None:
        self.held[edge], self.waiting[edge] = self.waiting[edge] or self.held[edge], ""

    def _start(self, edge: str) -> None:
        self.running[edge].add(self.held[edge])

    def _stop_others(self, edge: str) -> None:
        self.running[edge] = {self.held[edge]}

    def _settle(self, host: str) -> None:
        running = {edge: sorted(used - {""}) for edge, used in self.running.items()}
        found = role.settlement(self.texts[host], self.held, running)
        stale = [one for row in found["holders"].values() if row["moved"] for one in row["stale"]]
        self.texts[host] = role.without(self.texts[host], found["orphans"] + stale)

    def check(self) -> None:
        """Whatever an edge has, in its file or in memory, is good at every host that may be asked."""
        if not any(self.held.values()):
            return
        for host, text in self.texts.items():
            admits = {row.digest for row in role.rows(text)}
            for edge, key in self.held.items():
                assert {key, *self.running[edge]} - {""} <= admits, (host, edge)

    def settled(self) -> None:
        keys = set(self.held.values())
        assert "" not in keys
        assert len(keys) == len(self.held), "each edge has its own"
        for host in self.hosts:
            assert {row.digest for row in role.rows(self.texts[host])} == keys, host


@pytest.mark.parametrize("seed", range(200))
def test_pool_keeps_one_working_key_whatever_is_interrupted(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 (a test's choices, no secret)
    world = World(["a", "b", "c"][: chance.randint(1, 3)], ["pi", "pi2"][: chance.randint(1, 2)])

    def order() -> list[str]:
        """Fresh hosts first, as the play has them."""
        return sorted(world.hosts, key=lambda host: (host in world.texts, chance.random()))

    world.run(order(), 10_000)
    world.settled()
    for _ in range(4):
        if chance.random() < 0.4:  # a host more, which may be the one that makes the keys from now on
            world.hosts.insert(chance.randint(0, len(world.hosts)), f"new{len(world.hosts)}")
        elif chance.random() < 0.3 and len(world.hosts) > 1:
            gone = world.hosts.pop(chance.randrange(len(world.hosts)))
            world.texts.pop(gone, None)
        before = dict(world.held)
        rotate = chance.random() < 0.5
        world.run(order(), chance.randint(0, 30), rotate=rotate)
        made = world.made
        if chance.random() < 0.3:
            world.hosts.append(f"late{len(world.hosts)}")
        world.run(order(), 10_000)
        world.settled()
        assert world.made == made, "what was interrupted is completed with the key that was made for it"
        assert rotate or world.held == before, "nobody asked for another key"


def test_key_that_was_taken_back_everywhere_gets_a_successor_and_at_one_host_is_admitted_again() -> None:
    world = World(["a", "b"], ["pi"])
    world.run(["a", "b"], 10_000)
    key = world.held["pi"]
    world.texts["b"] = ""
    plan = role.plan("", world.held, world.waiting, peers=[world.texts["a"]], maker="a")
    assert plan["pi"] == {"makes": False, "adopts": [key], "why": "the pool's key is admitted here, too"}
    plan = role.plan("", world.held, world.waiting, peers=[""], maker="")
    assert (plan["pi"]["makes"], plan["pi"]["adopts"]) == (True, [])
