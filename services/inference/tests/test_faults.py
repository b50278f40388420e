"""What happens when a step fails, and what must not be left behind by a generation's end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cerebrum_inference.batching.job import Job
from cerebrum_inference.batching.worker import Worker
from cerebrum_inference.engine import Generation, Sampling
from cerebrum_inference.llama import Context, LlamaError
from cerebrum_kit.errors import CerebrumError, Internal
from support.engine import GREEDY, Answer, Served, ask, model_row, serving, streaming, until

SYSTEM = "You are a helpful programmer who answers with short and correct Python code, and with nothing else."
CODE = "def area(width, height):\n    return width * height\n\n"


class Failing:
    """Replaces `Context.decode` by one that fails when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = 0
        self.broken = 0
        decode = Context.decode

        def failing(context: Context) -> bool:
            if self.broken:
                self.broken -= 1
                raise LlamaError("llama_decode returned -3")
            if self.full:
                self.full -= 1
                return False
            return decode(context)

        monkeypatch.setattr(Context, "decode", failing)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Failing:
    return Failing(monkeypatch)


async def test_a_failed_step_ends_what_runs_and_nothing_else(exact_model: Path, failing: Failing) -> None:
    async with serving(exact_model) as served:
        alone = await ask(served, "def f(")
        running = [asyncio.create_task(ask(served, name, 8000)) for name in ("x = ", "class A:")]
        waiting = asyncio.create_task(ask(served, "def f("))
        await until(lambda: [slot.state for slot in served.engine.slots()] == ["decode"] * 2, "both run")
        failing.broken = 1
        ends = await asyncio.gather(*running, return_exceptions=True)
        assert [type(end) for end in ends] == [Internal, Internal]
        assert (await waiting).tokens == alone.tokens
        assert served.stats().outcomes["error"] == 2
        assert served.idle()


async def test_what_a_failed_step_left_is_not_kept_for_others(exact_model: Path, failing: Failing) -> None:
    async with serving(exact_model, prefix_idle_tokens=0) as served:
        await served.model()
        running = asyncio.create_task(ask(served, CODE * 10, 8000))
        await until(lambda: [slot.state for slot in served.engine.slots()].count("decode") == 1, "it runs")
        before = served.worker().cache._store.size
        failing.broken = 1
        with pytest.raises(Internal):
            await running
        assert served.worker().cache._store.size == before
        assert served.worker().cells_used() == (0, 0)


async def test_a_full_pool_gives_up_what_is_idle_and_goes_on(exact_model: Path, failing: Failing) -> None:
    async with serving(exact_model, prefix_idle_tokens=10_000) as served:
        expected = await ask(served, CODE * 20, 40)
        assert served.worker().cells_used()[1] > 200
        failing.full = 1
        other = await ask(served, "import os\n", 40)
        assert failing.full == 0
        assert served.worker().cells_used()[1] < 200, "the idle one made room"
        again = await ask(served, CODE * 20, 40)
        assert again.tokens == expected.tokens
        assert again.finish.cached_tokens > 100, "from the store"
        assert (await ask(served, "import os\n", 40)).tokens == other.tokens


async def test_a_full_pool_with_nothing_to_give_up_is_an_error(exact_model: Path, failing: Failing) -> None:
    async with serving(exact_model) as served:
        await served.model()
        failing.full = 1
        with pytest.raises(Internal):
            await ask(served, "x")
        assert (await ask(served, "x")).finish.generated_tokens == 32


async def pinned_answer(served: Served) -> Answer:
    model = await served.model()
    return await ask(
        served, model.chat_prompt([{"role": "system", "content": SYSTEM}, {"role": "user", "content": "a sum"}]), 24
    )


@pytest.mark.parametrize("fault", ["broken", "full"])
async def test_pinned_prefixes_come_back(exact_model: Path, failing: Failing, fault: str) -> None:
    async with serving(exact_model, model_row(exact_model, pinned_system=[SYSTEM]), prefix_store_mib=0) as served:
        await served.model()
        await until(lambda: served.worker().cells_used()[1] > 0, "the prefix is computed")
        expected = await pinned_answer(served)
        assert expected.finish.cached_tokens > 16
        if fault == "broken":
            failing.broken = 1
            with pytest.raises(CerebrumError):
                await ask(served, "x")
        else:
            failing.full = 2  # the idle sequence goes, then the pinned one
            await ask(served, "import os", 8)
        assert failing.broken == failing.full == 0
        await ask(served, "y", 8)
        await until(lambda: pinned_tokens(served.worker()) > 0, "the prefix is computed again")
        again = await pinned_answer(served)
        assert again.tokens == expected.tokens
        assert again.finish.cached_tokens > 16


def pinned_tokens(worker: Worker) -> int:
    return sum(len(slot.tokens) for slot in worker._pinned if slot.state == "idle")


async def test_a_draft_that_the_end_cut_off_is_not_part_of_what_is_kept(exact_model: Path) -> None:
    """A stop string ends a text in the middle of a draft, the slot is evicted at once, and the chat goes on."""
    prompt = CODE * 8 + "def area(width"
    async with serving(exact_model, slots=1, prefix_idle_tokens=0) as served:
        whole = await ask(served, prompt, 60)
        assert whole.finish.accepted_tokens > 8, "drafts hold here"
        for at in range(4, 40):
            stop = whole.text[at : at + 3]
            served.worker().cache._store.clear()
            first = await ask(served, prompt, 60, stop=(stop,))
            model = await served.model()
            longer = [*model.tokenize(prompt), *first.tokens, *model.tokenize("\n")]
            warm = await ask(served, longer, 16)
            assert warm.finish.cached_tokens >= len(first.tokens)
        assert served.stats().outcomes["error"] == 0


async def test_a_bias_is_added_once_whoever_decodes_beside(exact_model: Path) -> None:
    async with serving(exact_model, speculation="off") as served:
        model = await served.model()
        biased = Sampling(temperature=0, ignore_eos=True, logit_bias=tuple((token, 4.0) for token in range(260, 1500)))
        alone = await ask(served, "def f(", 60, sampling=biased)
        async with streaming(served, sampling=Sampling(temperature=1.0, ignore_eos=True, seed=1)):
            beside = await ask(served, "def f(", 60, sampling=biased)
        assert model.detokenize(beside.tokens) == model.detokenize(alone.tokens)
        plain = await ask(served, "def f(", 60, sampling=GREEDY)
        assert plain.tokens != alone.tokens


async def test_time_to_wait_is_not_shortened_by_what_was_generated(exact_model: Path) -> None:
    async with serving(exact_model, slots=1) as served:
        async with streaming(served, "x = "):
            await until(lambda: served.engine.slots()[0].generated_tokens > 50, "it has generated")
            work = served.worker().work_ahead()
        assert work.prompt_tokens >= 0


async def test_work_that_has_just_come_is_not_stuck(exact_model: Path) -> None:
    """A long idle time is no silence: between a request's arrival and its first step nobody may call it stuck."""
    async with serving(exact_model) as served:
        await ask(served, "x", 2)
        worker = served.worker()
        worker._progress -= 3600.0
        worker.submit(Job(Generation("tiny", [5, 6, 7], 2), queue_seconds=60), max_queue=1)
        assert served.engine.stuck() is None


async def test_work_without_a_step_for_long_is_reported(exact_model: Path) -> None:
    async with serving(exact_model) as served:
        await ask(served, "x", 2)
        worker = served.worker()
        with worker._turns:  # as long as somebody else computes, it cannot
            asking = asyncio.create_task(ask(served, "y", 2))
            await until(lambda: worker.busy, "it has its slot")
            assert worker.stuck(worker._progress + 1.0) is None
            assert served.engine.stuck() is None
            worker._progress -= 3600.0
            assert str(served.engine.stuck()).startswith("model tiny has computed nothing for 36")
        await asking
        assert served.engine.stuck() is None
