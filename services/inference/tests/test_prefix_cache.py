"""Prefixes that are not computed twice: shared, pinned, evicted to the store and brought back."""

from __future__ import annotations

from pathlib import Path

import pytest

from cerebrum_inference.llama import Context
from support.engine import Served, ask, model_row, serving, until

SYSTEM = "You are a helpful programmer who answers with short and correct Python code, and with nothing else."


def texts(count: int) -> list[str]:
    return [
        f"# module {number}\n" + f"def function_{number}(a, b):\n    return a + b\n" * 12 for number in range(count)
    ]


async def chat(served: Served, question: str) -> int:
    """Asks after the pinned system message; returns how many tokens were known."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]
    return (await ask(served, (await served.model()).chat_prompt(messages), 8)).finish.cached_tokens


async def test_hits_are_counted(shipped_model: Path) -> None:
    async with serving(shipped_model, slots=1) as served:
        first = (await ask(served, texts(1)[0], 8)).finish
        second = (await ask(served, texts(1)[0], 8)).finish
        stats = served.stats()
        assert (first.cached_tokens, second.cached_tokens) == (0, second.prompt_tokens - 1)
        assert (stats.prefix_hits, stats.prefix_misses) == (1, 1)
        assert stats.prompt_cached == second.cached_tokens
        assert stats.prompt_computed == first.prompt_tokens + 1


async def test_the_last_token_of_a_prompt_is_always_computed(shipped_model: Path) -> None:
    async with serving(shipped_model, slots=1) as served:
        known = (await ask(served, texts(1)[0], 40)).tokens
        prompt = [*(await served.model()).tokenize(texts(1)[0]), *known[:20]]
        assert (await ask(served, prompt, 4)).finish.cached_tokens == len(prompt) - 1


async def test_prompt_logprobs_compute_the_whole_prompt(shipped_model: Path) -> None:
    async with serving(shipped_model, slots=1) as served:
        await ask(served, texts(1)[0], 8)
        answer = await ask(served, texts(1)[0], 8, logprobs=1, prompt_logprobs=True)
        assert answer.finish.cached_tokens == 0
        assert len(answer.logprobs) == answer.finish.prompt_tokens + 8
        assert answer.logprobs[0].logprob is None


async def test_pinned_prefix_is_computed_at_load_and_used_by_the_first_chat(shipped_model: Path) -> None:
    async with serving(shipped_model, model_row(shipped_model, pinned_system=[SYSTEM])) as served:
        await served.model()
        await until(lambda: served.worker().cells_used()[1] > 16, "the prefix is computed")
        computed = served.stats().prompt_computed
        assert computed == served.worker().cells_used()[1]
        assert await chat(served, "a sum") == computed


async def test_pinned_prefix_survives_what_others_need(shipped_model: Path) -> None:
    row = model_row(shipped_model, pinned_system=[SYSTEM])
    async with serving(shipped_model, row, prefix_idle_tokens=0, prefix_store_mib=4) as served:
        await served.model()
        await until(lambda: served.worker().cells_used()[1] > 16, "the prefix is computed")
        pinned = served.worker().cells_used()[1]
        for text in texts(8):
            await ask(served, text, 8)
        assert served.worker().cells_used() == (0, pinned)
        assert await chat(served, "a sum") == pinned


async def test_the_longest_unused_is_evicted_and_restored(shipped_model: Path) -> None:
    async with serving(shipped_model, slots=2, prefix_idle_tokens=300) as served:
        first, second = texts(2)
        length = (await ask(served, first, 8)).finish.prompt_tokens
        assert 150 < length < 300
        await ask(served, second, 8)
        assert served.worker().cells_used()[1] <= 300
        assert len(served.worker().cache._store) == 1, "the first one was evicted"
        again = await ask(served, first, 8)
        assert again.finish.cached_tokens == length - 1
        assert served.stats().prompt_restored == length - 1


async def test_without_a_store_nothing_is_evicted_for_its_age(shipped_model: Path) -> None:
    async with serving(shipped_model, slots=2, prefix_idle_tokens=0, prefix_store_mib=0) as served:
        for text in texts(2):
            await ask(served, text, 8)
        assert served.worker().cells_used()[1] > 300
        assert (await ask(served, texts(2)[0], 8)).finish.cached_tokens > 150


async def test_store_stays_within_its_bounds(shipped_model: Path) -> None:
    async with serving(shipped_model, slots=2, prefix_idle_tokens=0, prefix_store_mib=1) as served:
        for text in texts(20):
            await ask(served, text, 8)
        store = served.worker().cache._store
        assert 0 < store.size <= store.capacity
        assert len(store) < 20
        assert served.metrics.now().stored_bytes == store.size


async def test_data_that_does_not_restore_is_computed_again(shipped_model: Path) -> None:
    async with serving(shipped_model, slots=1, prefix_idle_tokens=0) as served:
        expected = await ask(served, texts(1)[0], 16)
        entry = served.worker().cache._store._entries[0]
        entry.data = entry.data[: len(entry.data) // 2]
        again = await ask(served, texts(1)[0], 16)
        assert again.finish.cached_tokens == 0
        assert again.tokens == expected.tokens


async def test_a_pool_that_is_really_full_makes_room(shipped_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The slots' own contexts always fit; here the pool has half of what they need."""
    original = Context.__init__

    def small(self: Context, *args: object, cells: int, **more: object) -> None:
        original(self, *args, cells=cells // 2, **more)  # type: ignore[arg-type]  # handed on as it came

    monkeypatch.setattr(Context, "__init__", small)
    async with serving(shipped_model, slots=4, max_context=512, prefix_idle_tokens=10_000) as served:
        prompts = texts(8)
        for prompt in prompts:
            await ask(served, prompt, 200)
        assert served.stats().outcomes == {**dict.fromkeys(served.stats().outcomes, 0), "length": 8}
        assert sum(served.worker().cells_used()) <= served.worker().cells
        assert len(served.worker().cache._store) > 0, "nothing had to make room"
