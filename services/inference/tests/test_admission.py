"""Who is let in, who waits, who is sent away, and what they are told."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cerebrum_inference.batching import engine as batching
from cerebrum_inference.engine import Generation
from cerebrum_inference.scheduling.contention import CpuSample
from cerebrum_kit.errors import CerebrumError, ClientTooSlow, DeadlineExceeded, Overloaded
from support.engine import GREEDY, LONG, Served, ask, serving, streaming, until


async def queued(served: Served, count: int, *, client: str, tokens: int = 2) -> list[asyncio.Task[object]]:
    """Requests that wait; each is in the queue before the next one comes."""
    tasks: list[asyncio.Task[object]] = []
    for number in range(count):
        before = served.engine.waiting
        tasks.append(asyncio.create_task(ask(served, f"# {client} {number}", tokens, client=client)))
        await until(lambda before=before: served.engine.waiting == before + 1, "it waits")  # type: ignore[misc]
    return tasks


async def test_clients_share_one_slot(exact_model: Path) -> None:
    order: list[str] = []
    async with serving(exact_model, slots=1) as served:
        async with streaming(served):
            many, one = await queued(served, 6, client="many"), await queued(served, 2, client="one")
            for name, tasks in (("many", many), ("one", one)):
                for task in tasks:
                    task.add_done_callback(lambda _, name=name: order.append(name))  # type: ignore[misc]
        await asyncio.gather(*many, *one)
    assert order.index("one") <= 1
    assert order[:4].count("one") == 2, order


async def test_deadline_in_the_queue(exact_model: Path) -> None:
    async with serving(exact_model, slots=1, queue_seconds=0.05) as served, streaming(served):
        with pytest.raises(Overloaded, match="No slot became free") as caught:
            await ask(served, "x")
        assert caught.value.retry_after is not None
        assert 1 <= caught.value.retry_after <= 600
        assert served.stats().outcomes["deadline"] == 1
        assert served.engine.waiting == 0


async def test_deadline_of_the_request_itself_while_it_waits(exact_model: Path) -> None:
    async with serving(exact_model, slots=1) as served, streaming(served):
        with pytest.raises(CerebrumError):
            await ask(served, "x", timeout_seconds=0.05)
        assert served.engine.waiting == 0


async def test_deadline_while_running_ends_with_what_there_is(exact_model: Path) -> None:
    async with serving(exact_model, slots=1, coalesce_ms=0) as served:
        prompt = (await served.model()).tokenize("x")
        asked = Generation("tiny", prompt, LONG, GREEDY, timeout_seconds=0.3)
        async with served.engine.generate(asked) as items:
            await anext(aiter(items))
            with pytest.raises(DeadlineExceeded, match=r"allowed 0\.3 seconds"):
                async for _ in items:
                    pass
        assert served.idle()
        assert served.stats().outcomes["deadline"] == 1
        assert (await ask(served, "x", 4)).finish.generated_tokens == 4


async def test_full_queue_says_when_to_come_back(exact_model: Path) -> None:
    async with serving(exact_model, slots=1, max_queue=1) as served:
        await ask(served, "x", 8)
        async with streaming(served):
            waiting = await queued(served, 1, client="a")
            with pytest.raises(Overloaded, match=r"All 1 slots of tiny are busy and 1 requests wait") as caught:
                await ask(served, "z", client="a")
            assert caught.value.retry_after is not None
            assert 1 < caught.value.retry_after <= 600, "a long stream is ahead"
        await asyncio.gather(*waiting)


async def test_no_queue_at_all_still_fills_the_slots(exact_model: Path) -> None:
    async with serving(exact_model, slots=2, max_queue=0) as served, streaming(served), streaming(served):
        with pytest.raises(Overloaded):
            await ask(served, "x")


async def test_all_models_together_have_a_bound(exact_model: Path) -> None:
    async with serving(exact_model, slots=1, max_queue=10, max_queue_total=2) as served:
        async with streaming(served):
            waiting = await queued(served, 2, client="a")
            with pytest.raises(Overloaded):
                await ask(served, "x", client="b")
        await asyncio.gather(*waiting)


async def test_the_newest_of_the_greedy_client_makes_way(exact_model: Path) -> None:
    async with serving(exact_model, slots=1, max_queue=3) as served:
        async with streaming(served):
            many = await queued(served, 3, client="many")
            other = asyncio.create_task(ask(served, "other", 2, client="other"))
            with pytest.raises(Overloaded) as caught:
                await many[-1]
            assert caught.value.retry_after is not None
            assert served.engine.waiting == 3
        await asyncio.gather(other, *many[:-1])
        assert served.idle()


async def test_a_client_that_does_not_read_is_given_up(exact_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cerebrum_inference.batching.job._MOST_BUFFERED", 16)
    async with serving(exact_model, slots=1, coalesce_ms=0) as served:
        prompt = (await served.model()).tokenize("x")
        async with served.engine.generate(Generation("tiny", prompt, LONG, GREEDY)) as items:
            await anext(aiter(items))
            await until(served.idle, "the slot is free though nobody left")
            with pytest.raises(ClientTooSlow, match="16 pieces waited"):
                async for _ in items:
                    pass
        assert served.stats().outcomes["slow_reader"] == 1
        assert served.stats().outcomes["cancelled"] == 0


@dataclass
class Load:
    """Counters of a machine on which others use so many cores, half a second further with each look."""

    foreign: float = 0.0
    pressure: float = 0.5
    at: float = 0.0
    busy: float = 0.0
    looks: int = field(default=0)

    def sample(self) -> CpuSample:
        self.looks += 1
        self.at += 0.5
        self.busy += 0.5 * self.foreign
        return CpuSample(self.at, self.busy, 0.0)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """The machine that engines look at, much more often than usual."""
    made = Load()
    monkeypatch.setattr("cerebrum_inference.app.cpu_sample", made.sample)
    monkeypatch.setattr("cerebrum_inference.app.cpu_pressure", lambda: made.pressure)
    monkeypatch.setattr("cerebrum_inference.app.usable_cores", lambda: 4)
    monkeypatch.setattr(batching, "_LOOK_SECONDS", 0.001)
    return made


async def test_a_machine_that_others_use_takes_no_new_work(exact_model: Path, load: Load) -> None:
    async with serving(exact_model, max_cpu_percent=70) as served:
        served.engine.admit()
        load.foreign = 4.0
        await until(lambda: load.looks > 100, "it was seen for long")
        with pytest.raises(Overloaded, match=r"Other processes use \d+% of this machine's processor") as caught:
            served.engine.admit()
        assert caught.value.retry_after is not None
        load.pressure = 0.0
        await until(lambda looks=load.looks: load.looks > looks + 2, "it was seen")  # type: ignore[misc]
        served.engine.admit()
        load.pressure, load.foreign = 0.5, 0.0
        await until(lambda looks=load.looks: load.looks > looks + 20, "it was seen")  # type: ignore[misc]
        served.engine.admit()


async def test_threads_make_way_and_come_back(exact_model: Path, load: Load) -> None:
    async with serving(exact_model, threads=4) as served:
        async with streaming(served):
            worker = served.worker()
            assert worker.threads == 4
            load.foreign = 2.0
            await until(lambda: worker.threads == 2, "two are left to others")
            load.foreign = 0.0
            await until(lambda: worker.threads == 4, "they are back")
            assert served.metrics.now().threads == {"tiny": 4}
        load.foreign = 4.0
        await until(lambda: worker.threads == 1, "one always remains")
        load.foreign = 0.0
        await until(lambda: worker.threads == 4, "at once while nothing is computed")
