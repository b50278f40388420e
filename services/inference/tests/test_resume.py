"""An answer that goes on behind tokens that were generated elsewhere is the answer that would have been."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cerebrum_inference.engine import Sampling
from cerebrum_inference.grammar import grammar_for_json_object
from cerebrum_kit.errors import CerebrumError, InvalidRequest
from support.engine import Answer, Served, ask, serving

PROMPT = "def fibonacci(n):\n    "
COUNT = 24
ALONE = {"slots": 1, "max_context": 512, "speculation": "off"}


async def check(
    served: Served, whole: Answer, at: int, count: int = COUNT, *, stop: tuple[str, ...] = (), **more: object
) -> None:
    """Goes on behind the first `at` tokens."""
    rest = await ask(served, PROMPT, count, resumed=whole.tokens[:at], stop=stop, **more)
    assert whole.tokens[:at] + rest.tokens == whole.tokens
    shown = (await served.model()).shown(whole.tokens[:at], stop)
    assert shown + rest.text == whole.text
    assert rest.finish.reason == whole.finish.reason
    assert rest.finish.generated_tokens == whole.finish.generated_tokens
    assert rest.finish.prompt_tokens == whole.finish.prompt_tokens
    assert rest.finish.resumed_tokens == at


async def test_greedy_text_goes_on_from_every_token(exact_model: Path) -> None:
    async with serving(exact_model, **ALONE) as served:
        whole = await ask(served, PROMPT, COUNT)
        for at in range(COUNT + 1):
            await check(served, whole, at)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0.8, seed=7, ignore_eos=True),
        Sampling(temperature=0.8, seed=7, repeat_penalty=1.3, ignore_eos=True),
        Sampling(temperature=0, frequency_penalty=0.7, ignore_eos=True),
    ],
    ids=["seed", "seed and penalty", "penalty"],
)
async def test_sampler_goes_on_where_it_was(exact_model: Path, sampling: Sampling) -> None:
    async with serving(exact_model, **ALONE) as served:
        whole = await ask(served, PROMPT, COUNT, sampling=sampling)
        for at in (1, 7, 23):
            await check(served, whole, at, sampling=sampling)


async def test_stop_string_that_began_before_the_cut_still_ends_the_text(exact_model: Path) -> None:
    async with serving(exact_model, **ALONE) as served:
        free = await ask(served, PROMPT, COUNT)
        middle = len(free.text) // 2
        stop = (free.text[middle : middle + 6],)
        whole = await ask(served, PROMPT, COUNT, stop=stop)
        assert whole.finish.reason == "stop"
        for at in range(len(whole.tokens) + 1):
            await check(served, whole, at, stop=stop)


async def test_half_a_character_is_made_whole(exact_model: Path) -> None:
    async with serving(exact_model, **ALONE) as served:
        model = await served.model()
        tokens = model.tokenize("\u00e9\U0001f600")
        assert len(tokens) > 2, "each of them is more than one token"
        for at in range(1, len(tokens)):
            shown = model.shown(tokens[:at], ())
            assert "\ufffd" not in shown
            assert "\u00e9\U0001f600".startswith(shown)


async def test_format_goes_on_where_it_was(exact_model: Path) -> None:
    grammar = grammar_for_json_object()
    async with serving(exact_model, **ALONE) as served:
        whole = await ask(served, PROMPT, 200, sampling=Sampling(temperature=0), grammar=grammar)
        for at in (1, len(whole.tokens) // 2, len(whole.tokens) - 1):
            await check(served, whole, at, 200, sampling=Sampling(temperature=0), grammar=grammar)
        if whole.finish.reason == "stop":
            json.loads(whole.text)


async def test_tokens_that_the_format_forbids_are_refused(exact_model: Path) -> None:
    async with serving(exact_model, **ALONE) as served:
        tokens = (await served.model()).tokenize("no json")
        with pytest.raises(InvalidRequest, match="resume_tokens"):
            await ask(served, PROMPT, COUNT, resumed=tokens, grammar=grammar_for_json_object())
        assert (await ask(served, PROMPT, COUNT)).finish.generated_tokens == COUNT, "the engine lives on"


async def test_token_that_does_not_exist_is_named(exact_model: Path) -> None:
    async with serving(exact_model, **ALONE) as served:
        model = await served.model()
        for wrong in (-1, 10**6):
            with pytest.raises(CerebrumError, match=f"{wrong} is no token") as caught:
                model.shown([wrong], ())
            assert caught.value.param == "resume_tokens"
