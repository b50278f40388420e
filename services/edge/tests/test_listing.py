"""What becomes of the list of models of a server that is not ours, and of its errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cerebrum_edge.relay.listing import is_llama_server, models_of
from cerebrum_edge.relay.verdict import UpstreamRefused, error_of_foreign_answer, is_failure, is_final
from cerebrum_edge.routing import ModelInfo, choose
from cerebrum_edge.settings import Served
from cerebrum_kit.errors import UpstreamError

VLLM = {"data": [{"id": "org/model", "owned_by": "vllm", "max_model_len": 4096}, {"id": "lora", "parent": "org/model"}]}
LLAMA = {"data": [{"id": "/m/tiny.gguf", "aliases": ["tiny"], "owned_by": "llamacpp", "meta": {"n_ctx": 512}}]}


def test_all_that_is_listed_is_there_by_its_own_name_and_for_every_language() -> None:
    one, lora = models_of(VLLM, {})
    assert one == ModelInfo("org/model", "org/model", (), 4096, loaded=True, fallback=True)
    assert (lora.id, lora.context) == ("lora", 32_768)
    assert choose([one], prompt="x", language="rust").model == "org/model"
    assert [row.id for row in models_of(LLAMA, {})] == ["/m/tiny.gguf"]
    assert [is_llama_server(row) for row in (LLAMA, VLLM, {"data": 7})] == [True, False, False]


def test_names_that_clients_know_are_given_and_others_are_not() -> None:
    wanted = {"coder": Served(name="tiny", languages=("python",)), "gone": Served(name="x")}
    (model,) = models_of(LLAMA, wanted)
    assert model == ModelInfo("coder", "tiny", ("python",), 512, loaded=True, fallback=False)
    assert models_of(LLAMA, {"coder": Served(name="tiny", context=256)})[0].context == 256


def test_languages_that_were_said_come_before_a_model_that_speaks_what_is_left() -> None:
    ours = ModelInfo("cerebrum-tiny", "Tiny", (), 4096, loaded=True, fallback=True)
    (theirs,) = models_of(VLLM, {"coder": Served(name="org/model", languages=("python",))})
    assert choose([ours, theirs], prompt="x", language="python").model == "coder"
    assert choose([ours, theirs], prompt="x", language="rust").model == "cerebrum-tiny"


@pytest.mark.parametrize("answer", [{}, {"data": {}}, {"data": [7]}, {"data": [{"id": 7}]}, {"models": []}])
def test_list_that_is_not_openais_is_refused(answer: dict[str, Any]) -> None:
    with pytest.raises(UpstreamError, match="not OpenAI's"):
        models_of(answer, {})


def test_server_that_has_none_of_the_wanted_is_told_with_what_it_has() -> None:
    with pytest.raises(UpstreamError, match=r"lists org/model, lora; .* none \(y, z\)"):
        models_of(VLLM, {"a": Served(name="y"), "b": Served(name="z")})


@pytest.mark.parametrize(
    ("status", "payload", "seen", "failure", "final"),
    [
        (400, {"error": {"message": "m", "param": "top_p"}}, "invalid_request", False, True),
        (422, {"detail": [{"msg": "m"}]}, "invalid_request", False, True),
        (401, {"detail": "Invalid API key"}, "upstream_error", False, True),
        (403, {}, "upstream_error", False, True),
        (404, {"error": {"message": "The model `x` does not exist."}}, "model_not_found", False, True),
        (404, {"detail": "Not Found"}, "upstream_error", False, True),
        (405, {}, "upstream_error", False, True),
        (408, {}, "upstream_timeout", True, False),
        (413, {}, "prompt_too_large", False, True),
        (400, {"error": {"type": "exceed_context_size_error", "message": "m"}}, "prompt_too_large", False, True),
        (429, {"error": {"message": "slow down"}}, "overloaded", False, False),
        (500, {"message": "m"}, "upstream_error", True, False),
        (503, {"error": {"message": "Loading model"}}, "overloaded", False, False),
        (504, {}, "upstream_timeout", True, False),
    ],
)
def test_status_of_another_server_has_a_meaning(
    status: int, payload: Any, seen: str, failure: bool, final: bool
) -> None:
    error = error_of_foreign_answer(status, json.dumps(payload).encode(), {"retry-after": "7"})
    assert (error.code, is_failure(error), is_final(error)) == (seen, failure, final)
    assert error.retry_after == (7.0 if seen == "overloaded" else None)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"error": []}', b"\xff", b"[" * 10_000, b'{"error": {"code": []}}']
)
def test_answer_that_is_nobodys_is_still_an_error(body: bytes) -> None:
    assert type(error_of_foreign_answer(502, body, {})) is UpstreamError
    assert isinstance(error_of_foreign_answer(404, body, {}), UpstreamRefused)
