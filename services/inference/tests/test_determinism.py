"""The same prompt gives the same text, however it was computed and whoever was computed beside it."""

from __future__ import annotations

import argparse
import asyncio
import csv
import dataclasses
import heapq
import inspect
import json
from pathlib import Path

import pytest

from support.engine import Answer, ask, serving, streaming, until

MODULES = (argparse, csv, dataclasses, heapq, json)
SIZES = ((0, 200), (1500, 900), (700, 1800))  # where a snippet begins and how long it is: 60 to 700 tokens
PROMPTS = [inspect.getsource(module)[at : at + size] for module in MODULES for at, size in SIZES]
COUNT = 32
NO_CACHE = {"max_context": 4096, "prefix_idle_tokens": 0, "prefix_store_mib": 0}


@pytest.fixture(scope="module")
def cold(exact_model: Path) -> list[Answer]:
    """Every prompt alone, with nothing known of it, without speculation."""

    async def run() -> list[Answer]:
        async with serving(exact_model, slots=1, speculation="off", **NO_CACHE) as served:
            answers = [await ask(served, prompt, COUNT) for prompt in PROMPTS]
        assert {answer.finish.cached_tokens for answer in answers} <= set(range(16))
        assert max(answer.finish.prompt_tokens for answer in answers) > 512, "longer than a batch"
        return answers

    return asyncio.run(run())


def same(answers: list[Answer], cold: list[Answer]) -> None:
    wrong = [
        (number, next(at for at, pair in enumerate(zip(one.tokens, other.tokens, strict=True)) if len(set(pair)) > 1))
        for number, (one, other) in enumerate(zip(answers, cold, strict=True))
        if one.tokens != other.tokens
    ]
    assert not wrong, f"(prompt, token) that differ first: {wrong}"
    assert [one.text for one in answers] == [other.text for other in cold]


async def test_warm_in_the_same_slot(exact_model: Path, cold: list[Answer]) -> None:
    async with serving(exact_model, slots=1, max_context=2048, prefix_idle_tokens=30_000) as served:
        answers = []
        for prompt in PROMPTS:
            await ask(served, prompt, COUNT)
            answers.append(await ask(served, prompt, COUNT))
        same(answers, cold)
        assert all(one.finish.cached_tokens == one.finish.prompt_tokens - 1 for one in answers)
        assert served.stats().prompt_restored == 0


async def test_evicted_and_restored(exact_model: Path, cold: list[Answer]) -> None:
    async with serving(exact_model, slots=1, max_context=2048, prefix_idle_tokens=0) as served:
        for prompt in PROMPTS:
            await ask(served, prompt, COUNT)
        assert served.worker().cells_used() == (0, 0)
        answers = [await ask(served, prompt, COUNT) for prompt in PROMPTS]
        same(answers, cold)
        assert served.stats().prompt_restored == sum(one.finish.cached_tokens for one in answers) > 300 * len(PROMPTS)


async def test_unloaded_and_loaded_again(exact_model: Path, cold: list[Answer]) -> None:
    async with serving(exact_model, slots=1, max_context=2048, prefix_idle_tokens=30_000) as served:
        for prompt in PROMPTS:
            await ask(served, prompt, COUNT)
        assert await served.engine.unload("tiny")
        answers = [await ask(served, prompt, COUNT) for prompt in PROMPTS]
        same(answers, cold)
        assert sum(one.finish.cached_tokens for one in answers) > 300 * len(PROMPTS)


@pytest.mark.parametrize("speculation", ["on", "off"])
async def test_beside_others(exact_model: Path, cold: list[Answer], speculation: str) -> None:
    async with serving(exact_model, slots=4, speculation=speculation, **NO_CACHE) as served:
        same(await asyncio.gather(*(ask(served, prompt, COUNT) for prompt in PROMPTS)), cold)
        assert served.stats().busy_slot_steps > 2 * served.stats().steps, "hardly anything ran side by side"


async def test_with_drafts(exact_model: Path, cold: list[Answer]) -> None:
    async with serving(exact_model, slots=1, **NO_CACHE) as served:
        same([await ask(served, prompt, COUNT) for prompt in PROMPTS], cold)
        assert served.stats().accepted > 50


async def test_with_rows_that_nobody_reads(
    exact_model: Path, cold: list[Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Padding is measured before it is used; here it always is."""
    monkeypatch.setattr("cerebrum_inference.scheduling.lookup.StepCosts.padding", lambda _costs, rows: -rows % 4)
    monkeypatch.setattr(
        "cerebrum_inference.scheduling.pacing.PrefillPacer.filling", lambda _pacer, rows, _position: max(0, 64 - rows)
    )
    async with serving(exact_model, slots=3, speculation="off", **NO_CACHE) as served:
        same(await asyncio.gather(*(ask(served, prompt, COUNT) for prompt in PROMPTS)), cold)


async def test_while_others_stream(exact_model: Path, cold: list[Answer]) -> None:
    async with serving(exact_model, slots=3, step_ms=10, **NO_CACHE) as served, streaming(served, "import re"):
        same([await ask(served, prompt, COUNT) for prompt in PROMPTS[:12]], cold[:12])
        counts = served.stats().rows.counts
        assert sum(counts[8:]) < 12, "every prompt went in one piece"


@pytest.mark.parametrize("state", ["busy", "idle"])
async def test_beginning_shared_with_another_slot(exact_model: Path, cold: list[Answer], state: str) -> None:
    async with serving(exact_model, slots=2, max_context=4096, prefix_idle_tokens=30_000, prefix_store_mib=0) as served:
        answers = []
        for prompt in PROMPTS:
            tokens = (await served.model()).tokenize(prompt)
            begin = [*tokens[: len(tokens) - 5], *tokens[:300]]  # goes on with something else, at length
            if state == "busy":
                async with streaming(served, prompt=begin):
                    answers.append(await ask(served, tokens, COUNT))
            else:
                await ask(served, begin, COUNT)
                answers.append(await ask(served, tokens, COUNT))
                assert any(slot.tokens[: len(begin)] == begin for slot in served.worker().slots), "not copied from"
        same(answers, cold)
        assert all(one.finish.cached_tokens >= one.finish.prompt_tokens - 5 for one in answers)


async def test_client_that_leaves_changes_nothing_for_the_next(exact_model: Path, cold: list[Answer]) -> None:
    async with serving(exact_model, slots=1, max_context=2048, prefix_idle_tokens=30_000) as served:
        answers = []
        for prompt in PROMPTS:
            async with streaming(served, prompt=prompt):
                pass
            await until(served.idle, "its slot is free")
            answers.append(await ask(served, prompt, COUNT))
        same(answers, cold)
        assert served.stats().cancelled["decode"] == len(PROMPTS)
