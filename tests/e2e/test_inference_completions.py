"""`/v1/completions` and `/v1/embeddings` as OpenAI's own client sees them."""

from __future__ import annotations

import base64
import math
import struct
from typing import Any

import openai
import pytest
from openai.types import Completion, CompletionChoice

from support.inference import TINY, Inference

PROMPT = "def fibonacci(n):"
GREEDY = {"temperature": 0, "max_tokens": 24}


def complete(sdk: openai.OpenAI, prompt: Any = PROMPT, **more: Any) -> Completion:
    answer: Completion = sdk.completions.create(model=TINY, prompt=prompt, **more)
    return answer


def stream(sdk: openai.OpenAI, prompt: Any = PROMPT, **more: Any) -> list[Completion]:
    return list(sdk.completions.create(model=TINY, prompt=prompt, stream=True, **more))


def choices(chunks: list[Completion]) -> list[CompletionChoice]:
    return [chunk.choices[0] for chunk in chunks if chunk.choices]


def extra(value: Any, name: str) -> Any:
    """A field that OpenAI's own API does not have."""
    return value.model_extra[name]


def test_logprobs_are_of_the_text(sdk: openai.OpenAI) -> None:
    choice = complete(sdk, logprobs=3, **GREEDY).choices[0]
    found = choice.logprobs
    assert found is not None
    assert found.tokens is not None
    assert found.token_logprobs is not None
    assert found.top_logprobs is not None
    assert len(found.tokens) == len(found.token_logprobs) == len(found.top_logprobs) == 24
    assert "".join(found.tokens) == choice.text
    for token, chosen, top in zip(found.tokens, found.token_logprobs, found.top_logprobs, strict=True):
        assert chosen <= 0
        assert list(top.values()) == sorted(top.values(), reverse=True)
        assert len(top) == 3
        assert math.isclose(top[token], chosen), "the greedy token is the likeliest"
        assert sum(map(math.exp, top.values())) <= 1.0001
    lengths = [len(token) for token in found.tokens]
    assert found.text_offset == [sum(lengths[:at]) for at in range(len(lengths))]


def test_streamed_logprobs_are_those_of_the_whole(sdk: openai.OpenAI) -> None:
    whole = complete(sdk, logprobs=2, **GREEDY).choices[0].logprobs
    assert whole is not None
    parts = [choice.logprobs for choice in choices(stream(sdk, logprobs=2, **GREEDY)) if choice.logprobs]
    assert [token for part in parts for token in part.tokens or ()] == whole.tokens
    assert [at for part in parts for at in part.text_offset or ()] == whole.text_offset
    values = [value for part in parts for value in part.token_logprobs or ()]
    assert values == pytest.approx(whole.token_logprobs, abs=1e-3)


def test_logprobs_do_not_change_the_text(sdk: openai.OpenAI) -> None:
    assert complete(sdk, logprobs=0, **GREEDY).choices[0].text == complete(sdk, **GREEDY).choices[0].text


def test_echo_puts_the_prompt_in_front(sdk: openai.OpenAI) -> None:
    plain, echoed = complete(sdk, **GREEDY), complete(sdk, echo=True, **GREEDY)
    assert echoed.choices[0].text == PROMPT + plain.choices[0].text
    assert echoed.usage is not None
    assert plain.usage is not None
    assert echoed.usage.completion_tokens == plain.usage.completion_tokens
    assert "".join(choice.text for choice in choices(stream(sdk, echo=True, **GREEDY))) == echoed.choices[0].text


def test_echo_with_logprobs_reports_the_prompt(sdk: openai.OpenAI, inference: Inference) -> None:
    choice = complete(sdk, echo=True, logprobs=1, **GREEDY).choices[0]
    assert choice.logprobs is not None
    assert choice.logprobs.tokens is not None
    assert choice.logprobs.token_logprobs is not None
    assert choice.logprobs.top_logprobs is not None
    assert "".join(choice.logprobs.tokens) == choice.text
    first, *rest = choice.logprobs.token_logprobs
    assert first is None
    assert choice.logprobs.top_logprobs[0] is None
    assert len(rest) == len(inference.tokenize(PROMPT)) - 1 + 24
    assert all(value <= 0 for value in rest)


def test_suffix_is_filled_towards(sdk: openai.OpenAI, inference: Inference) -> None:
    answer = complete(sdk, "def f(", suffix="): pass", **GREEDY)
    native = inference.ask("/infill", {"input_prefix": "def f(", "input_suffix": "): pass", "n_predict": 24} | GREEDY)
    assert native.status_code == 422, "max_tokens has another name there"
    body = {"input_prefix": "def f(", "input_suffix": "): pass", "n_predict": 24, "temperature": 0}
    assert inference.ask("/infill", body).json()["content"] == answer.choices[0].text


def test_seed_makes_a_sampled_text_reproducible(sdk: openai.OpenAI) -> None:
    # Few tokens: over many, the last bits of the probabilities, which depend on the batch, would decide one of them.
    texts = [complete(sdk, temperature=1, max_tokens=5, seed=seed).choices[0].text for seed in (7, 7, 8, 9, 10)]
    assert texts[0] == texts[1]
    assert len(set(texts)) > 1


def test_stop_ends_the_text_before_itself(sdk: openai.OpenAI) -> None:
    text = complete(sdk, **GREEDY).choices[0].text
    stop = text[8:11]
    cut = complete(sdk, stop=[stop, "never seen"], **GREEDY).choices[0]
    assert (cut.text, cut.finish_reason) == (text[: text.index(stop)], "stop")
    parts = choices(stream(sdk, stop=stop, **GREEDY))
    assert "".join(part.text for part in parts) == cut.text
    assert parts[-1].finish_reason == "stop"


def test_bias_bans_and_forces_tokens(sdk: openai.OpenAI, inference: Inference) -> None:
    ids = extra(complete(sdk, extra_body={"return_tokens": True}, **GREEDY).choices[0], "tokens")
    banned = complete(sdk, logit_bias={str(ids[0]): -100}, extra_body={"return_tokens": True}, **GREEDY)
    assert ids[0] not in extra(banned.choices[0], "tokens")
    (forced,) = inference.tokenize("x")
    answer = complete(sdk, logit_bias={str(forced): 100}, **GREEDY)
    assert answer.choices[0].text == "x" * 24


def test_usage_of_a_stream_comes_last_and_only_when_asked_for(sdk: openai.OpenAI) -> None:
    chunks = stream(sdk, stream_options={"include_usage": True}, **GREEDY)
    assert [chunk.usage is None for chunk in chunks] == [True] * (len(chunks) - 1) + [False]
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert extra(chunks[-1], "timings")["prompt_tokens"] == usage.prompt_tokens
    assert all(chunk.usage is None and chunk.choices for chunk in stream(sdk, **GREEDY))


def test_token_ids_are_the_prompt_of_the_text(sdk: openai.OpenAI, inference: Inference) -> None:
    assert (
        complete(sdk, inference.tokenize(PROMPT), **GREEDY).choices[0].text == complete(sdk, **GREEDY).choices[0].text
    )


def test_returned_tokens_are_the_text_and_take_the_generation_up_again(
    sdk: openai.OpenAI, inference: Inference
) -> None:
    ask: dict[str, Any] = {"temperature": 0, "extra_body": {"return_tokens": True, "ignore_eos": True}}
    whole = complete(sdk, max_tokens=60, **ask).choices[0]
    tokens = extra(whole, "tokens")
    assert len(tokens) == 60
    assert inference.detokenize(tokens) == whole.text
    streamed = choices(stream(sdk, max_tokens=60, **ask))
    assert [token for part in streamed for token in part.model_dump().get("tokens") or ()] == tokens
    for cut in (1, 17, 59):
        prompt = inference.tokenize(PROMPT) + tokens[:cut]
        resumed = complete(sdk, prompt, max_tokens=60 - cut, **ask).choices[0]
        assert extra(resumed, "tokens") == tokens[cut:]


def test_cached_tokens_grow_when_a_prompt_comes_again(sdk: openai.OpenAI) -> None:
    prompt = "class Ledger:\n" + "\n".join(f"    field_{at}: int = {at * 7}" for at in range(40))
    seen = []
    for _ in range(2):
        answer = complete(sdk, prompt, temperature=0, max_tokens=2)
        assert answer.usage is not None
        assert answer.usage.prompt_tokens_details is not None
        seen.append((answer.usage.prompt_tokens, extra(answer, "timings")["cached_tokens"]))
    (total, before), (_, after) = seen
    assert before < total // 4
    assert total - after <= 1, "only the last token, whose logits are needed, is computed again"


def embed(sdk: openai.OpenAI, given: Any, form: str = "float") -> list[Any]:
    answer: Any = sdk.embeddings.create(model=TINY, input=given, encoding_format=form)  # type: ignore[arg-type]
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 0
    assert [row.index for row in answer.data] == list(range(len(answer.data)))
    return [row.embedding for row in answer.data]


def test_embeddings_are_vectors_of_length_one(sdk: openai.OpenAI, inference: Inference) -> None:
    one, other, again = embed(sdk, ["import os", "class Shape:", "import os"])
    for vector in (one, other):
        assert math.isclose(math.hypot(*vector), 1, abs_tol=1e-5)
    assert one == pytest.approx(again, abs=1e-6)
    assert math.dist(one, other) > 0.05
    assert embed(sdk, "import os")[0] == pytest.approx(one, abs=1e-5)
    ids = inference.tokenize("import os")
    assert embed(sdk, ids)[0] == pytest.approx(one, abs=1e-5)
    assert embed(sdk, [ids, ids])[1] == pytest.approx(one, abs=1e-5)


def test_embeddings_in_base64_are_the_same_numbers(sdk: openai.OpenAI) -> None:
    (vector,) = embed(sdk, "import os")
    (text,) = embed(sdk, "import os", "base64")
    data = base64.b64decode(text)
    assert list(struct.unpack(f"<{len(data) // 4}f", data)) == pytest.approx(vector, abs=1e-6)
