"""The next token: shortcuts give what the whole chain gives, and grammars and biases are kept to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cerebrum_inference.engine import Sampling
from cerebrum_inference.llama import Context, LlamaError, Model, Sampler
from cerebrum_kit.errors import InvalidRequest
from support.engine import GREEDY, ask, serving

_ROWS = 60


@pytest.fixture(scope="module")
def model(exact_model: Path) -> Model:
    return Model(str(exact_model))


def tokens(model: Model, sampling: Sampling, grammar: str | None = None) -> list[int]:
    """What a sampler chooses, token after token, on the model's own logits."""
    context = Context(model, cells=512, sequences=1, batch=64, outputs=1, threads=1)
    sampler = Sampler(model, sampling, random_seed=1, grammar=grammar)
    prompt = model.tokenize("def f(", add_special=True, parse_special=False)
    context.begin()
    row = context.extend(prompt, 0, 0, wanted="last")
    chosen: list[int] = []
    try:
        while context.decode() and len(chosen) < _ROWS:
            logits = context.logits()[0]
            sampler.bias(logits)
            token = sampler.sample(logits, context, row)
            if token is None:
                break
            chosen.append(token)
            context.begin()
            row = context.add(token, len(prompt) + len(chosen) - 1, 0)
    finally:
        sampler.close()
        context.close()
    return chosen


@pytest.mark.parametrize("top_k", [1, 2, 20, 40, 100, 128])
@pytest.mark.parametrize("rest", [{}, {"top_p": 0.7}, {"min_p": 0.1}, {"temperature": 2.0, "top_p": 1.0}])
@pytest.mark.parametrize("grammar", [None, "root ::= [a-z (),:]*"])
def test_prefilter_changes_nothing(
    model: Model, monkeypatch: pytest.MonkeyPatch, top_k: int, rest: dict[str, float], grammar: str | None
) -> None:
    sampling = Sampling(**{"temperature": 0.9, "top_k": top_k, "seed": 5, "ignore_eos": True, **rest})  # type: ignore[arg-type]
    whole = tokens(model, sampling, grammar)
    handed_over: list[int] = []
    best = Sampler._best

    def counted(self: Sampler, row: object) -> object:
        found = best(self, row)  # type: ignore[arg-type]  # handed on as it came
        handed_over.append(len(found))
        return found

    monkeypatch.setattr("cerebrum_inference.llama.sampler._LARGE_VOCABULARY", 1000)
    monkeypatch.setattr(Sampler, "_best", counted)
    assert tokens(model, sampling, grammar) == whole
    assert len(handed_over) == len(whole) == _ROWS
    assert top_k <= min(handed_over)
    assert max(handed_over) < model.vocab_size / 4


def test_bias_forces_and_forbids(model: Model) -> None:
    assert set(tokens(model, Sampling(temperature=0, logit_bias=((300, 100.0),)))) == {300}
    usual = tokens(model, GREEDY)
    without = tokens(model, Sampling(temperature=0, ignore_eos=True, logit_bias=((usual[0], -100.0),)))
    assert usual[0] not in without


def test_ignore_eos_never_ends(model: Model) -> None:
    end = min(model.end_tokens)
    pushed = Sampling(temperature=1.0, seed=1, logit_bias=((end, 100.0),))
    assert end in tokens(model, pushed)
    kept = Sampling(temperature=1.0, seed=1, ignore_eos=True, logit_bias=((end, 100.0),))
    assert model.end_tokens.isdisjoint(tokens(model, kept))


def test_grammar_that_llama_does_not_read_is_refused(model: Model) -> None:
    with pytest.raises(LlamaError, match="does not understand"):
        Sampler(model, GREEDY, random_seed=1, grammar="root ::= (")


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_no_control_token_under_a_grammar(model: Model, temperature: float) -> None:
    control = min(model.control_tokens)
    wish = Sampling(temperature=temperature, top_k=0, top_p=1.0, seed=1, logit_bias=((control, 100.0),))
    assert control in tokens(model, wish)
    assert model.control_tokens.isdisjoint(tokens(model, wish, 'root ::= [^"]*'))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
async def test_a_grammar_is_kept_to_and_ends_the_text(exact_model: Path, temperature: float) -> None:
    grammar = 'root ::= "{\\"a\\": " [0-9] [0-9] ", \\"b\\": [" [1-9] (", " [1-9]){3} "]}"'
    async with serving(exact_model) as served:
        for seed in range(5):
            asked = Sampling(temperature=temperature, seed=seed)
            answer = await ask(served, "def f(", 100, sampling=asked, grammar=grammar)
            assert len(json.loads(answer.text)["b"]) == 4
            assert answer.finish.reason == "stop"


async def test_where_nothing_is_allowed_the_text_ends(exact_model: Path) -> None:
    """The end is forbidden and the grammar has nothing more: a dead end."""
    async with serving(exact_model) as served:
        answer = await ask(served, "def f(", 100, sampling=GREEDY, grammar='root ::= "abc"')
        assert (answer.text, answer.finish.reason) == ("abc", "stop")


async def test_a_grammar_that_cannot_be_enforced_is_the_clients_error(exact_model: Path) -> None:
    async with serving(exact_model, slots=1) as served:
        with pytest.raises(InvalidRequest, match="cannot be enforced"):
            await ask(served, "x", grammar="root ::= (")
        assert served.idle()
        assert (await ask(served, "x", 4)).finish.generated_tokens == 4
