"""Many at once, of whom some leave: every one gets its own text, and nothing is left of any of them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cerebrum_inference.engine import Finish, Generation, Sampling
from cerebrum_inference.memory import resident_anonymous
from support.engine import Served, ask, serving, until

WORDS = ("def ", "class ", "import ", "return ", "self.", "for x in ", "print(", "# about ", "if not ", "assert ")
KINDS = 40
REQUESTS = 360
AT_ONCE = 12
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Wish:
    prompt: str
    count: int
    sampling: Sampling
    stop: tuple[str, ...]


def wishes() -> list[Wish]:
    chance = random.Random(4)  # noqa: S311  # the same wishes in every run
    made = []
    for number in range(KINDS):
        prompt = f"# {number}\n" + "".join(chance.choice(WORDS) for _ in range(chance.randint(1, 60)))
        hot = Sampling(temperature=0.8, top_p=0.9, seed=number, ignore_eos=True)
        sampling = Sampling(temperature=0, ignore_eos=True) if number % 2 else hot
        stop = (chance.choice("(:,"), "\n\n") if number % 3 == 0 else ()
        made.append(Wish(prompt, chance.randint(1, 24), sampling, stop))
    return made


async def serve(served: Served, wish: Wish, leave_after: int | None) -> str | None:
    """The text, or None where the client left before its end."""
    prompt = (await served.model()).tokenize(wish.prompt)
    asked = Generation("tiny", prompt, wish.count, wish.sampling, wish.stop, client=str(len(prompt) % 5))
    text, pieces = "", 0
    async with served.engine.generate(asked) as items:
        async for item in items:
            if isinstance(item, Finish):
                return text
            if pieces == leave_after:
                return None
            text, pieces = text + item.text, pieces + 1
    raise AssertionError("no Finish")


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


async def test_each_gets_its_own_text(exact_model: Path) -> None:
    all_wishes = wishes()
    async with serving(exact_model, slots=1, max_context=512, prefix_idle_tokens=0, prefix_store_mib=0) as served:
        alone = [
            (await ask(served, one.prompt, one.count, sampling=one.sampling, stop=one.stop)).text for one in all_wishes
        ]
    assert len(set(alone)) > KINDS / 2
    chance = random.Random(5)  # noqa: S311  # the same run every time
    source = numbers(REQUESTS)
    wrong: list[tuple[int, str]] = []
    finished, memory = 0, list[int]()
    async with serving(exact_model, slots=4, max_context=512, coalesce_ms=0, prefix_store_mib=8) as served:

        async def client() -> None:
            nonlocal finished
            async for number in source:
                kind = chance.randrange(KINDS)
                if number % (REQUESTS // 3) == REQUESTS // 3 - 1:
                    memory.append(resident_anonymous())
                text = await serve(served, all_wishes[kind], chance.choice([None, None, None, 0, 1]))
                finished += text is not None
                if text not in (None, alone[kind]):
                    wrong.append((kind, str(text)))

        # One source for all: an async generator serves one `anext` at a time, and this one never waits.
        await asyncio.gather(*(client() for _ in range(AT_ONCE)))
        await until(served.idle, "every slot is free")
        check_empty(served)
    assert not wrong, f"{len(wrong)} of {finished}: {wrong[:3]}"
    assert finished > REQUESTS / 2
    assert memory[2] - memory[1] < 24 * MIB, [size // MIB for size in memory]


def check_empty(served: Served) -> None:
    worker = served.worker()
    stats: Sequence[int] = list(served.stats().outcomes.values())
    assert worker.cells_used()[0] == worker.busy == worker.waiting == 0
    assert all(slot.job is None and slot.sampler is None for slot in worker.slots)
    assert sum(stats) == REQUESTS - served.stats().cancelled["queued"]
    assert served.stats().outcomes["error"] == 0
