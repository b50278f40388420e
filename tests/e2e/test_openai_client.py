"""OpenAI's own client against the inference service."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from support.raw import RawClient, request
from support.system import LONG_CONTEXT, System


@pytest.fixture(scope="module")
def client(system: System) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{system.inference.url}/v1", api_key=system.key, max_retries=0) as one:
        yield one


def test_completion(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="cerebrum-tiny", prompt="def fibonacci(n):", max_tokens=16, temperature=0)
    assert answer.object == "text_completion"
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (8, 16)


def test_streamed_completion_is_the_same_text(client: openai.OpenAI) -> None:
    ask = {"model": "cerebrum-tiny", "prompt": "import os", "max_tokens": 24, "temperature": 0}
    whole = client.completions.create(**ask)  # type: ignore[call-overload]
    chunks = list(client.completions.create(**ask, stream=True, stream_options={"include_usage": True}))  # type: ignore[call-overload]
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == whole.choices[0].text
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 24
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "length"


def test_prompt_of_token_ids_is_the_prompt_of_text(client: openai.OpenAI, system: System) -> None:
    tokens = system.ask("/v1/tokenize", method="POST", json={"text": "import os"}).json()["tokens"]
    ask = {"model": "cerebrum-tiny", "max_tokens": 12, "temperature": 0}
    by_text = client.completions.create(prompt="import os", **ask)  # type: ignore[call-overload]
    by_ids = client.completions.create(prompt=tokens, **ask)  # type: ignore[call-overload]
    assert by_ids.choices[0].text == by_text.choices[0].text


def test_chat(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="cerebrum-tiny",
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}],
        max_completion_tokens=12,
    )
    assert answer.choices[0].message.role == "assistant"
    assert answer.usage is not None
    assert answer.usage.completion_tokens <= 12


def test_streamed_chat(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="cerebrum-tiny", messages=[{"role": "user", "content": "hello"}], max_tokens=12, stream=True
        )
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason in ("length", "stop")


def test_content_parts_are_joined(client: openai.OpenAI) -> None:
    ask = {"model": "cerebrum-tiny", "max_tokens": 8, "temperature": 0}
    one = client.chat.completions.create(messages=[{"role": "user", "content": "ab"}], **ask)  # type: ignore[call-overload]
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    two = client.chat.completions.create(messages=[{"role": "user", "content": parts}], **ask)  # type: ignore[call-overload]
    assert one.choices[0].message.content == two.choices[0].message.content


def test_fill_in_the_middle(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="cerebrum-tiny", prompt="def f(", suffix="): pass", max_tokens=4)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 5


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["cerebrum-tiny"]


def test_errors_have_the_clients_own_classes(client: openai.OpenAI, system: System) -> None:
    ask = {"model": "cerebrum-tiny", "prompt": "x"}
    with pytest.raises(openai.NotFoundError, match="no model 'gpt-9'"):
        client.completions.create(model="gpt-9", prompt="x")
    with pytest.raises(openai.UnprocessableEntityError, match="n: "):
        client.completions.create(**ask, n=3)  # type: ignore[call-overload]
    with pytest.raises(openai.UnprocessableEntityError, match="n_discard: no such field"):
        client.completions.create(**ask, extra_body={"n_discard": -1})  # type: ignore[call-overload]
    for prompt in ("", [], 3, ["a", "b"]):
        with pytest.raises(openai.UnprocessableEntityError) as union:
            client.completions.create(model="cerebrum-tiny", prompt=prompt)  # type: ignore[arg-type]
        assert union.value.param == "prompt"
        assert "function" not in union.value.message
    with pytest.raises(openai.APIStatusError, match="holds 32768") as caught:
        client.completions.create(model="cerebrum-tiny", prompt=[1] * LONG_CONTEXT)
    assert caught.value.status_code == 413
    stranger = openai.OpenAI(base_url=f"{system.inference.url}/v1", api_key="wrong", max_retries=0)
    with stranger, pytest.raises(openai.AuthenticationError):
        stranger.models.list()


def test_request_id_is_the_clients(client: openai.OpenAI) -> None:
    answer = client.completions.create(
        model="cerebrum-tiny", prompt="x", max_tokens=1, extra_headers={"X-Request-ID": "sdk-7"}
    )
    assert answer._request_id == "sdk-7"


@pytest.mark.parametrize(
    "header", ["X-API-Key: sch\xf6n", "Authorization: Bearer \xff\xfe", "Authorization: Basic abc", ""]
)
def test_key_that_is_none_is_a_401(system: System, header: str) -> None:
    with RawClient(system.inference.port) as raw:
        raw.send(request("/v1/models", method="GET", headers=(header,) if header else ()))
        answer = raw.answer()
    assert (answer.status, answer.code) == (401, "unauthorized")


def test_only_health_is_open(system: System) -> None:
    for path, status in (("/health", 200), ("/ready", 200), ("/metrics", 401), ("/v1/slots", 401), ("/nowhere", 401)):
        with RawClient(system.inference.port) as raw:
            raw.send(request(path, method="GET"))
            assert raw.answer().status == status, path


def test_load_unload_and_cleanup(system: System) -> None:
    assert system.ask("/v1/unload/cerebrum-tiny", method="POST").json()["unloaded"] is True
    assert system.ask("/v1/stats").json()["models_loaded"] == []
    assert system.ask("/v1/load/cerebrum-tiny", method="POST").json()["model"] == "cerebrum-tiny"
    assert system.ask("/v1/cleanup", method="POST").json() == {"unloaded": ["cerebrum-tiny"], "busy": []}
    answer = system.ask("/v1/inference", method="POST", json={"prompt": "x", "max_tokens": 2})
    assert answer.json()["total_tokens"] == 2, "loaded again on demand"
