"""Bad input: whatever a client sends is refused in our own words, and the service goes on generating."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.bad_values import ASSISTANT, CALL, ENDPOINTS
from support.inference import TINY, Inference, running_inference
from support.refusal import refusal
from support.system import LONG_CONTEXT

CASES = [
    (path, name, value)
    for path, (_, fields) in ENDPOINTS.items()
    for name, values in fields.items()
    for value in values
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inference]:
    """It may load and unload as it is told: `keep_alive` is among the fields."""
    with running_inference(tmp_path_factory.mktemp("bad")) as running:
        yield running


def post(service: Inference, path: str, body: bytes) -> httpx.Response:
    return service.client.post(path, content=body, headers={"content-type": "application/json"})


def with_field(path: str, name: str, value: str) -> bytes:
    """The endpoint's smallest good body, one field of it replaced."""
    good = {key: json.dumps(one) for key, one in ENDPOINTS[path][0].items()}
    if (path, name) == ("/v1/tokenize", "tokens"):
        del good["text"]
    return ("{" + ", ".join(f"{json.dumps(key)}: {one}" for key, one in {**good, name: value}.items()) + "}").encode()


@pytest.mark.parametrize("path", ENDPOINTS)
def test_every_bad_value_is_refused_by_its_fields_name(service: Inference, path: str) -> None:
    wrong = []
    for _, name, value in (case for case in CASES if case[0] == path):
        answer = post(service, path, with_field(path, name, value))
        try:
            param = str(refusal(answer)["param"])
            # What two fields say together is nobody's alone: the message names them.
            named = param.split(".")[0] == name or (param == "None" and name in answer.json()["error"]["message"])
            assert named, answer.text[:300]
        except AssertionError as exc:
            wrong.append((name, value[:80], str(exc)[:300]))
    assert wrong == [], "\n".join(map(str, wrong))
    assert service.generates()


def test_good_bodies_are_good(service: Inference) -> None:
    """What the tables change in one place is accepted without the change."""
    for path, (body, _) in ENDPOINTS.items():
        assert service.ask(path, body).status_code == 200, path


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize("name", ["grammar", "mirostat", "samplers", "n_discard", "cache_prompt", "__proto__"])
def test_unlisted_field_is_refused_by_name(service: Inference, path: str, name: str) -> None:
    error = refusal(post(service, path, with_field(path, name, '"root ::= [a-z]+"')))
    assert "no such field" in error["message"]
    assert error["param"] == name


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_two_bad_fields_at_once(service: Inference, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(ENDPOINTS)))
    good, fields = ENDPOINTS[path]
    names = data.draw(st.lists(st.sampled_from(sorted(fields)), min_size=2, max_size=3, unique=True))
    body = {key: json.dumps(one) for key, one in good.items()}
    body |= {name: data.draw(st.sampled_from(fields[name])) for name in names}
    text = ", ".join(f"{json.dumps(name)}: {value}" for name, value in body.items())
    refusal(post(service, path, f"{{{text}}}".encode()))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(path=st.sampled_from(sorted(ENDPOINTS)), data=st.data())
def test_any_json_in_any_field_never_fails_inside(service: Inference, path: str, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(ENDPOINTS[path][1])))
    answer = post(service, path, with_field(path, name, json.dumps(data.draw(JSON))))
    assert answer.status_code < 500, answer.text[:300]
    if answer.status_code != 200:
        refusal(answer)


def test_deep_arguments_of_a_call_are_refused(service: Inference) -> None:
    path = "/v1/chat/completions"
    for depth in (300, 900, 5_000, 100_000):
        arguments = json.dumps("[" * depth + "]" * depth)
        messages = ASSISTANT % f"[{CALL % arguments}]"
        error = refusal(post(service, path, with_field(path, "messages", messages)))
        assert error["param"] == "messages"
        assert "nested" in error["message"]
    assert service.generates()


def test_prompt_longer_than_the_context_names_both_numbers(service: Inference) -> None:
    words = "import os\n" * LONG_CONTEXT
    asks: dict[str, Any] = {
        "/v1/inference": {"prompt": [1] * LONG_CONTEXT},
        "/v1/inference/stream": {"prompt": words},
        "/v1/completions": {"prompt": words},
        "/v1/chat/completions": {"messages": [{"role": "user", "content": words}]},
        "/infill": {"input_prefix": words, "input_suffix": ""},
        "/v1/embeddings": {"input": [[1], [1] * (LONG_CONTEXT + 1)]},
    }
    for path, body in asks.items():
        answer = service.ask(path, body)
        error = refusal(answer)
        assert (answer.status_code, error["code"]) == (413, "prompt_too_large"), path
        assert f"holds {LONG_CONTEXT}" in error["message"]
        assert any(int(word) >= LONG_CONTEXT for word in error["message"].split() if word.isdigit())
    assert service.ask("/v1/inference", {"prompt": [1] * (LONG_CONTEXT + 5)}).status_code == 413


def test_body_larger_than_allowed_is_refused(service: Inference) -> None:
    assert refusal(service.ask("/v1/inference", {"prompt": "x" * 5_000_000}))["code"] == "prompt_too_large"


def test_unknown_model_is_told_what_there_is(service: Inference) -> None:
    for path, (body, _) in ENDPOINTS.items():
        answer = service.ask(path, {**body, "model": "gpt-9"})
        error = refusal(answer)
        assert (answer.status_code, error["code"], error["param"]) == (404, "model_not_found", "model"), path
        assert TINY in error["message"]
