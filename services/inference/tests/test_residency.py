"""Which models are in memory: loaded once, evicted for others, gone after their time."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from cerebrum_inference.gguf.header import Header
from cerebrum_inference.llama import LlamaError
from cerebrum_inference.manifest import Manifest, ModelRow
from cerebrum_inference.metrics import InferenceMetrics
from cerebrum_inference.modelfile import ModelFileError
from cerebrum_inference.registry import ModelRegistry
from cerebrum_inference.residency import FOREVER, Resident, expired, expiry, make_room, under_pressure
from cerebrum_inference.verifier import Verifier
from cerebrum_kit.errors import ModelNotFound, ModelUnusable, Overloaded
from support.engine import model_row, until

MIB = 1024 * 1024
RESERVE = 100 * MIB


@dataclass
class Fake:
    """A model that takes memory and nothing else."""

    memory: Memory
    size: int
    context: int = 64
    closed: bool = False

    def close(self) -> None:
        self.closed = True
        self.memory.free += self.size


@dataclass
class Memory:
    """A machine's memory, and what making a model does to it.

    Attributes:
        sizes: what each model really takes; `needs`: what is thought beforehand.
        gate: while it is closed, loads do not get further than half.
        refuse: why llama.cpp does not load a file.
    """

    free: int = 1000 * MIB
    own: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    needs: dict[str, int] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    refuse: str | None = None

    def make(self, row: ModelRow, _path: Path, progress: Callable[[float], None]) -> Any:
        self.made.append(row.id)
        progress(0.5)
        assert self.gate.wait(30)
        if self.refuse:
            raise LlamaError(self.refuse)
        size = self.sizes.get(row.id, 300 * MIB)
        self.free -= size
        self.own += size
        return Fake(self, size)

    def needed(self, row: ModelRow, _header: Header) -> int:
        return self.needs.get(row.id, 300 * MIB)


@dataclass
class House:
    registry: ModelRegistry
    memory: Memory
    store: Path

    async def touch(self, model: str, keep_alive: float | None = None) -> None:
        async with self.registry.use(model, keep_alive):
            pass


@pytest.fixture
def store(tmp_path: Path, shipped_model: Path) -> Path:
    begin = shipped_model.read_bytes()[:4096]
    for name in "abc":
        (tmp_path / name).write_bytes(begin)
    return tmp_path


@asynccontextmanager
async def house(store: Path, *, idle: float = FOREVER, **rows: dict[str, Any]) -> AsyncIterator[House]:
    """A registry of the models a, b and c; `rows` changes what the manifest says of them."""
    models = tuple(model_row(store / name, id=name, **rows.get(name, {})) for name in "abc")
    memory = Memory()
    memory.gate.set()
    header: Any = None
    registry = ModelRegistry(
        Manifest(store=store, models=models),
        make=memory.make,
        verifier=Verifier(lambda _path: header),
        metrics=InferenceMetrics(CollectorRegistry(), "abc"),
        available_memory=lambda: memory.free,
        own_memory=lambda: memory.own,
        memory_needed=memory.needed,
        reserve_bytes=RESERVE,
        idle_seconds=idle,
    )
    try:
        yield House(registry, memory, store)
    finally:
        memory.gate.set()
        await registry.close()


async def test_a_load_goes_on_when_who_asked_has_left_and_is_made_once(store: Path) -> None:
    async with house(store) as one:
        one.memory.gate.clear()
        first = asyncio.create_task(one.touch("a"))
        await until(lambda: one.registry.state("a").progress == 0.5, "it is half loaded")
        assert one.registry.state("a").state == "loading"
        assert one.registry.loading
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        others = [asyncio.create_task(one.touch("a")) for _ in range(5)]
        await asyncio.sleep(0)
        one.memory.gate.set()
        await asyncio.gather(*others)
        assert one.memory.made == ["a"]
        assert one.registry.state("a").state == "loaded"
        assert not one.registry.loading


async def test_the_longest_unused_makes_room(store: Path) -> None:
    async with house(store) as one:
        for model in ("a", "b", "a"):
            await one.touch(model)
        one.memory.free = RESERVE
        await one.touch("c")
        assert one.registry.loaded() == ("a", "c")


@pytest.mark.parametrize("kept", ["pinned", "busy"])
async def test_pinned_and_busy_models_stay(store: Path, kept: str) -> None:
    async with house(store, a={"pinned": kept == "pinned"}) as one:
        await one.touch("a")
        await one.touch("b")
        one.memory.free = RESERVE
        if kept == "busy":
            async with one.registry.use("a"):
                await one.touch("c")
        else:
            await one.touch("c")
        assert one.registry.loaded() == ("a", "c")
        with pytest.raises(Overloaded, match=r"b needs 300 MiB and 100 MiB must stay free; 100 MiB are available"):
            async with one.registry.use("a"), one.registry.use("c"):
                await one.touch("b")


async def test_no_model_goes_when_that_would_not_help(store: Path) -> None:
    async with house(store) as one:
        await one.touch("a")
        one.memory.free, one.memory.needs["b"] = 0, 1000 * MIB
        with pytest.raises(Overloaded):
            await one.touch("b")
        assert one.registry.loaded() == ("a",)


@pytest.mark.parametrize(
    ("idle", "row", "keep_alive", "stays"),
    [
        (FOREVER, {}, None, True),
        (0, {}, None, False),
        (0, {}, FOREVER, True),
        (FOREVER, {}, 0, False),
        (3600, {}, 0, False),
        (3600, {}, None, True),
        (0, {"idle_unload_minutes": 5}, None, True),
        (0, {"idle_unload_minutes": -1}, None, True),
        (FOREVER, {"idle_unload_minutes": 0}, None, False),
        (0, {"pinned": True}, 0, True),
    ],
)
async def test_time_to_go(store: Path, idle: float, row: dict[str, Any], keep_alive: float | None, stays: bool) -> None:
    async with house(store, idle=idle, a=row) as one:
        async with one.registry.use("a", keep_alive):
            await one.registry.tidy()
            assert one.registry.loaded() == ("a",), "while it is used"
        await one.registry.tidy()
        assert one.registry.loaded() == (("a",) if stays else ())


async def test_memory_that_others_need_is_given_back_one_by_one(store: Path) -> None:
    async with house(store, a={"pinned": True}) as one:
        for model in "abc":
            one.memory.free = 1000 * MIB
            await one.touch(model)
        left = []
        for _ in range(4):
            one.memory.free = RESERVE // 2 - 1
            await one.registry.tidy()
            left.append(one.registry.loaded())
        assert left == [("a", "c"), ("a",), (), ()]


async def test_what_is_used_is_not_unloaded(store: Path) -> None:
    async with house(store) as one, one.registry.use("a"):
        with pytest.raises(Overloaded, match="is generating"):
            await one.registry.unload("a")
        one.memory.free = 0
        await one.registry.tidy()
        assert one.registry.loaded() == ("a",)


async def test_the_second_load_knows_what_the_first_one_took(store: Path) -> None:
    async with house(store) as one:
        one.memory.needs["a"], one.memory.sizes["a"] = 100 * MIB, 700 * MIB
        await one.touch("a")
        assert one.registry.state("a").size == 700 * MIB
        await one.registry.unload("a")
        one.memory.free = 500 * MIB
        with pytest.raises(Overloaded, match="a needs 700 MiB"):
            await one.touch("a")


async def test_a_refused_file_is_told_and_can_be_replaced(store: Path) -> None:
    async with house(store) as one:
        one.memory.refuse = "llama.cpp does not load this file"
        with pytest.raises(ModelUnusable, match=r"a cannot be used: llama\.cpp does not load this file"):
            await one.touch("a")
        state = one.registry.state("a")
        assert (state.state, state.reason) == ("unusable", "llama.cpp does not load this file")
        one.memory.refuse = None
        await one.touch("a")
        assert one.registry.state("a").state == "loaded"
        await one.registry.unload("a")
        assert one.registry.state("a").state == "unloaded"


async def test_a_file_that_is_gone_and_comes_back(store: Path) -> None:
    async with house(store) as one:
        (store / "a").rename(store / "away")
        with pytest.raises(ModelUnusable, match="No such file"):
            await one.touch("a")
        (store / "away").rename(store / "a")
        await one.touch("a")
        with pytest.raises(ModelNotFound, match="installed are: a, b, c"):
            await one.touch("z")


# The verifier


class Trial:
    def __init__(self) -> None:
        self.runs = 0
        self.refuse = False

    def __call__(self, _path: Path) -> Any:
        self.runs += 1
        if self.refuse:
            raise ModelFileError("a: is no model")
        return object()


def test_a_file_is_tried_once_until_somebody_touches_it(store: Path) -> None:
    row, trial = model_row(store / "a", id="a"), Trial()
    verifier = Verifier(trial)
    assert verifier.verify(row, store / "a") is verifier.verify(row, store / "a")
    assert trial.runs == 1
    shutil.copy(store / "a", store / "other")
    trial.refuse = True
    (store / "a").rename(store / "good")
    (store / "other").rename(store / "a")
    for _ in range(2):
        with pytest.raises(ModelFileError, match="is no model"):
            verifier.verify(row, store / "a")
    assert trial.runs == 2, "a refused file is refused without being read again"
    (store / "good").replace(store / "a")
    verifier.verify(row, store / "a")
    assert trial.runs == 2, "the good one is known"


def test_a_file_of_another_size_is_refused_before_the_trial(store: Path) -> None:
    row, trial = model_row(store / "a", id="a"), Trial()
    (store / "a").write_bytes(b"weights and more")
    with pytest.raises(ModelFileError):
        Verifier(trial).verify(row, store / "a")
    assert trial.runs == 0


# Decisions

RESIDENTS = st.lists(
    st.builds(
        Resident,
        st.uuids().map(str),
        st.integers(0, 100),
        st.floats(0, 100),
        st.booleans(),
        st.booleans(),
        st.none() | st.floats(0, 100),
    ),
    max_size=6,
)


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 50), RESIDENTS)
def test_room_is_made_by_as_few_as_needed(needed: int, free: int, reserve: int, residents: list[Resident]) -> None:
    victims = make_room(needed, free, reserve, residents)
    movable = [one for one in residents if one.idle and not one.pinned]
    if victims is None:
        assert free + sum(one.size for one in movable) < needed + reserve
        return
    gone = [one for one in residents if one.id in victims]
    assert all(one in movable for one in gone)
    assert free + sum(one.size for one in gone) >= needed + reserve
    assert all(one.used <= other.used for one in gone for other in movable if other not in gone)
    if victims:
        last = next(one for one in gone if one.id == victims[-1])
        assert free + sum(one.size for one in gone) - last.size < needed + reserve, "one too many"


@given(st.floats(0, 100), RESIDENTS)
def test_only_what_is_idle_and_over_its_time_expires(now: float, residents: list[Resident]) -> None:
    gone = expired(now, residents)
    for one in residents:
        assert (one.id in gone) == (one.idle and one.expires is not None and one.expires <= now)


@given(st.integers(0, 200), RESIDENTS)
def test_pressure_takes_the_longest_unused_and_pinned_ones_last(free: int, residents: list[Resident]) -> None:
    short = under_pressure(free, 200, residents)
    idle = [one for one in residents if one.idle]
    assert (short is None) == (free >= 100 or not idle)
    if short is not None:
        chosen = next(one for one in idle if one.id == short)
        assert all((chosen.pinned, chosen.used) <= (one.pinned, one.used) for one in idle)


@pytest.mark.parametrize(
    ("keep_alive", "usual", "pinned", "expected"),
    [
        (None, 60, False, 160),
        (0, 60, False, 100),
        (5, FOREVER, False, 105),
        (FOREVER, 60, False, None),
        (None, FOREVER, False, None),
        (5, 60, True, None),
    ],
)
def test_expiry(keep_alive: float | None, usual: float, pinned: bool, expected: float | None) -> None:
    assert expiry(100, keep_alive, usual, pinned=pinned) == expected
