"""Drafts save steps and change nothing: the same text with them and without, whatever else a request asks for."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from cerebrum_inference.engine import Sampling
from support.engine import GREEDY, Answer, ask, serving

FUNCTION = "def area(width, height):\n    return width * height\n\n"
ECHO = FUNCTION * 8 + "def area(width"
SEEDED = Sampling(temperature=0.7, top_k=0, top_p=1.0, seed=11, ignore_eos=True)
LETTERS = 'root ::= "def " [a-z]{3,12} "(" ([a-z]{1,8} ", "){20,60} ")"'
NO_CACHE = {"prefix_idle_tokens": 0, "prefix_store_mib": 0}


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drafts whenever there is something to guess: what pays is measured, and differs from machine to machine."""
    monkeypatch.setattr("cerebrum_inference.scheduling.lookup.DraftGate.size", lambda _gate, costs: len(costs) - 1)


async def both(path: Path, prompt: str, count: int, **more: Any) -> tuple[Answer, Answer]:
    """The answer with drafts, and without."""
    answers = []
    for speculation in ("on", "off"):
        async with serving(path, slots=1, speculation=speculation, **NO_CACHE) as served:
            answers.append(await ask(served, prompt, count, **more))
    assert answers[1].finish.drafted_tokens == 0
    return answers[0], answers[1]


def same(answers: tuple[Answer, Answer]) -> None:
    drafted, plain = answers
    assert (drafted.text, drafted.tokens, drafted.finish.reason) == (plain.text, plain.tokens, plain.finish.reason)


async def test_an_echo_is_guessed(exact_model: Path) -> None:
    answers = await both(exact_model, ECHO, 80)
    same(answers)
    assert 20 < answers[0].finish.accepted_tokens < answers[0].finish.drafted_tokens + 1


@pytest.mark.parametrize(
    "more",
    [
        {"sampling": SEEDED},
        {"sampling": Sampling(temperature=0.5, top_k=40, top_p=0.9, min_p=0.05, seed=3, ignore_eos=True)},
        {"sampling": Sampling(temperature=0, repeat_penalty=1.1, ignore_eos=True)},
        {"sampling": Sampling(temperature=0.4, frequency_penalty=0.2, presence_penalty=0.1, seed=5, ignore_eos=True)},
        {"sampling": Sampling(temperature=0, logit_bias=((264, 3.0), (11, -2.0)), ignore_eos=True)},
        {"grammar": LETTERS, "sampling": Sampling(temperature=0)},
        {"grammar": LETTERS, "sampling": Sampling(temperature=0.8, seed=2)},
        {"logprobs": 3},
    ],
    ids=["seed", "filters", "penalty", "penalties", "bias", "grammar", "sampled grammar", "logprobs"],
)
async def test_same_with_everything_else(exact_model: Path, more: dict[str, Any]) -> None:
    answers = await both(exact_model, ECHO, 80, **more)
    same(answers)
    assert answers[0].finish.drafted_tokens > 0
    drafted, plain = ([(one.token, tuple(top[0] for top in one.top)) for one in answer.logprobs] for answer in answers)
    assert [one[0] for one in drafted] == [one[0] for one in plain]
    for one, other in zip(*(answer.logprobs for answer in answers), strict=True):
        assert one.logprob == pytest.approx(other.logprob, abs=1e-3)
    assert len(drafted) == (80 if "logprobs" in more else 0)


async def test_ends_in_the_middle_of_a_draft(exact_model: Path) -> None:
    async with serving(exact_model, slots=1, speculation="off", **NO_CACHE) as served:
        whole = (await ask(served, ECHO, 60)).text
        sizes = [(await ask(served, ECHO, count)).tokens for count in range(1, 30)]
    async with serving(exact_model, slots=1, speculation="on", **NO_CACHE) as served:
        for count, tokens in enumerate(sizes, 1):
            answer = await ask(served, ECHO, count)
            assert (answer.tokens, answer.finish.generated_tokens) == (tokens, count)
        for at in range(0, len(whole) - 4, 3):
            stop = whole[at : at + 4]
            answer = await ask(served, ECHO, 60, stop=(stop,))
            assert (answer.text, answer.finish.reason) == (whole[: whole.index(stop)], "stop")
        assert served.stats().accepted > 100


async def test_three_streams_speculate_side_by_side(exact_model: Path) -> None:
    prompts = [ECHO, ECHO.replace("width", "left"), ECHO.replace("area", "size")]
    alone = [(await both(exact_model, prompt, 60))[1].tokens for prompt in prompts]
    async with serving(exact_model, slots=3, **NO_CACHE) as served:
        together = await asyncio.gather(*(ask(served, prompt, 60) for prompt in prompts))
        assert [one.tokens for one in together] == alone
        assert all(one.finish.drafted_tokens for one in together)


async def test_the_gate_closes_where_nothing_repeats(exact_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    # Costs of a machine on which each further row is a quarter of a step.
    monkeypatch.setattr(
        "cerebrum_inference.scheduling.lookup.StepCosts.drafts",
        lambda _costs, _rows, longest: [1 + 0.25 * more for more in range(longest + 1)],
    )
    hot = Sampling(temperature=1.2, top_k=0, top_p=1.0, seed=1, ignore_eos=True)
    async with serving(exact_model, slots=1, **NO_CACHE) as served:
        noise = (await ask(served, "x", 800, sampling=hot)).finish
        echo = (await ask(served, ECHO, 80, sampling=GREEDY)).finish
    assert 0 < noise.drafted_tokens < 100, "the gate stayed open, or was never tried"
    assert noise.accepted_tokens < 0.5 * noise.drafted_tokens
    assert echo.accepted_tokens > 20
