"""The native API of the inference service, and what it tells about itself."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from support.inference import LONG, TINY, Inference, running_inference
from support.raw import RawClient
from support.waiting import eventually

SHORT = {"prompt": "def fibonacci(n):", "max_tokens": 24, "temperature": 0, "ignore_eos": True, "return_tokens": True}


@pytest.fixture(autouse=True)
def idle_afterwards(inference: Inference) -> Iterator[None]:
    yield
    inference.wait_until_idle()


@pytest.fixture(scope="module")
def scarce(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inference]:
    """One slot, one place in the queue, and little patience."""
    folder = tmp_path_factory.mktemp("scarce")
    with running_inference(folder, SLOTS="1", MAX_QUEUE="1", MAX_QUEUE_TOTAL="1", QUEUE_SECONDS="0.5") as service:
        yield service


@contextlib.contextmanager
def long_stream(service: Inference, **more: Any) -> Iterator[Iterator[dict[str, Any]]]:
    """A stream that has begun and does not end by itself."""
    with service.stream("/v1/inference/stream", {**LONG, **more}) as items:
        assert next(items)["token"]
        yield items


def test_stream_adds_up_to_the_whole(inference: Inference) -> None:
    whole = inference.ask("/v1/inference", SHORT).json()
    with inference.stream("/v1/inference/stream", SHORT) as items:
        *pieces, done = items
    assert "".join(piece["token"] for piece in pieces) == whole["text"]
    assert [token for piece in pieces for token in piece["tokens"]] == whole["tokens"]
    assert [piece["total_tokens"] for piece in pieces][-1] == 24
    assert done["done"] is True
    same = ("total_tokens", "model", "finish_reason")
    assert [done[name] for name in same] == [whole[name] for name in same] == [24, TINY, "length"]
    assert set(done) - {"done"} == set(whole) - {"text", "tokens"}
    assert set(done["timings"]) == {
        "prompt_tokens",
        "cached_tokens",
        "queue_seconds",
        "prefill_seconds",
        "decode_seconds",
        "drafted_tokens",
        "accepted_tokens",
        "resumed_tokens",
    }


def test_tokens_are_only_there_when_asked_for(inference: Inference) -> None:
    body = {**SHORT, "return_tokens": False}
    assert "tokens" not in inference.ask("/v1/inference", body).json()
    with inference.stream("/v1/inference/stream", body) as items:
        assert not [item for item in items if "tokens" in item]


def test_token_ids_are_a_prompt(inference: Inference) -> None:
    ids = inference.tokenize(SHORT["prompt"])  # type: ignore[arg-type]  # it is text
    by_ids, by_text = (inference.ask("/v1/inference", {**SHORT, "prompt": prompt}) for prompt in (ids, SHORT["prompt"]))
    assert by_ids.json()["tokens"] == by_text.json()["tokens"]
    assert by_ids.json()["timings"]["prompt_tokens"] == len(ids)


def test_tokenizer_works_both_ways(inference: Inference) -> None:
    for text in ("import os\n", "naïve 漢字 \U0001f600", "<|im_end|>", ""):
        answer = inference.ask("/v1/tokenize", {"text": text}).json()
        assert answer["count"] == len(answer["tokens"])
        assert inference.detokenize(answer["tokens"]) == text
    assert inference.ask("/v1/tokenize", {"tokens": []}).json() == {"model": TINY, "text": "", "count": 0}


def test_infill_uses_both_sides(inference: Inference) -> None:
    body = {"input_prefix": "def f(", "input_suffix": "):\n    pass\n", "n_predict": 4, "ignore_eos": True}
    answer = inference.ask("/infill", body).json()
    assert answer["total_tokens"] == 4
    assert isinstance(answer["content"], str)
    more = inference.ask("/infill", {**body, "prompt": "a, b"}).json()
    assert more["timings"]["prompt_tokens"] > answer["timings"]["prompt_tokens"]


def test_generation_that_takes_too_long_ends_with_an_error_event(inference: Inference) -> None:
    with inference.stream("/v1/inference/stream", {**LONG, "timeout_seconds": 0.5}) as items:
        *pieces, last = items
    assert pieces
    assert (last["error"]["code"], last["done"]) == ("deadline_exceeded", True)
    assert inference.ask("/v1/inference", {**LONG, "timeout_seconds": 0.2}).status_code == 504


def test_request_that_waits_too_long_is_refused_with_a_time(scarce: Inference) -> None:
    with long_stream(scarce) as items:
        waited = scarce.ask("/v1/inference", SHORT)
        short = scarce.ask("/v1/inference", {**SHORT, "timeout_seconds": 0.1})
        assert next(items)["token"], "the stream goes on"
    for answer in (waited, short):
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "overloaded")
        assert int(answer.headers["retry-after"]) >= 1
    scarce.wait_until_idle()
    assert scarce.generates()


def test_full_queue_is_refused_at_once(scarce: Inference) -> None:
    with long_stream(scarce), ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: scarce.ask("/v1/inference", SHORT), range(4)))
        assert {answer.status_code for answer in answers} == {503}
        assert any("requests wait" in answer.json()["error"]["message"] for answer in answers)
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)
    scarce.wait_until_idle()


def test_slots_show_what_runs(inference: Inference) -> None:
    with long_stream(inference), long_stream(inference, prompt="class A:"):
        rows = inference.ask("/v1/slots").json()["slots"]
        assert [row["id"] for row in rows] == [0, 1]
        assert {row["state"] for row in rows} == {"decode"}
        assert {row["model"] for row in rows} == {TINY}
        assert len({row["request_id"] for row in rows}) == 2
        assert all(row["generated_tokens"] > 0 and row["prompt_tokens"] > 0 for row in rows)
        assert inference.ask("/v1/stats").json()["slots_busy"] == 2
        assert inference.ask("/health").json()["status"] == "ok"
    inference.wait_until_idle()
    for row in inference.ask("/v1/slots").json()["slots"]:
        assert (row["request_id"], row["generated_tokens"]) == (None, 0)


def test_model_that_generates_is_not_unloaded(inference: Inference) -> None:
    with long_stream(inference) as items:
        refused = inference.ask(f"/v1/unload/{TINY}", method="POST")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "overloaded")
        assert "retry-after" in refused.headers
        assert inference.ask("/v1/cleanup", method="POST").json() == {"unloaded": [], "busy": [TINY]}
        assert next(items)["token"], "the stream goes on"
    assert inference.states() == {TINY: "loaded"}


def test_models_come_and_go(inference: Inference) -> None:
    def row() -> dict[str, Any]:
        (found,) = inference.ask("/v1/models").json()["models"]
        return dict(found)

    assert inference.generates()
    inference.wait_until_idle()
    eventually(lambda: inference.ask(f"/v1/unload/{TINY}", method="POST").status_code == 200, "it is unloaded")
    assert (row()["state"], row()["loaded"], row()["memory_bytes"]) == ("unloaded", False, 0)
    assert inference.ask(f"/v1/unload/{TINY}", method="POST").json() == {"model": TINY, "unloaded": False}
    loaded = inference.ask(f"/v1/load/{TINY}", method="POST").json()
    assert (loaded["model"], loaded["context"]) == (TINY, 32768)
    assert (row()["state"], row()["loaded"], row()["progress"], row()["reason"]) == ("loaded", True, 1.0, None)
    assert 0 < row()["expires_in"] <= 3600
    assert inference.ask("/v1/cleanup", method="POST").json() == {"unloaded": [TINY], "busy": []}
    for path in ("/v1/load/nothing", "/v1/load/%00", "/v1/load/..%2f..%2fetc"):
        assert inference.ask(path, method="POST").status_code == 404
    assert inference.generates(), "loaded on demand"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/tokenize", {"text": "a b " * 900_000}),
        ("/v1/inference", {"prompt": "a b " * 900_000}),
        ("/v1/embeddings", {"input": ["a b " * 2_000] * 200}),
    ],
)
def test_model_is_not_freed_under_work_whose_client_left(inference: Inference, path: str, body: Any) -> None:
    def row() -> dict[str, Any]:
        return dict(inference.ask("/v1/models").json()["models"][0])

    data = inference.raw(path, json.dumps(body).encode())
    for _ in range(3):
        inference.ask(f"/v1/load/{TINY}", method="POST")
        with RawClient(inference.process.port) as client:
            client.send(data)
            eventually(lambda: row()["loaded"] and row()["expires_in"] is None, "the model is in use")
        eventually(lambda: inference.ask(f"/v1/unload/{TINY}", method="POST").status_code == 200, "it is unloaded")
    assert inference.generates()


def test_keep_alive_says_how_long_the_model_stays(inference: Inference) -> None:
    def expires() -> Any:
        return inference.ask("/v1/models").json()["models"][0]["expires_in"]

    inference.ask("/v1/inference", {**SHORT, "keep_alive": 900})
    assert 0 < expires() <= 900
    inference.ask("/v1/inference", {**SHORT, "keep_alive": -1})
    assert expires() is None
    assert inference.ask("/v1/inference", {**SHORT, "keep_alive": 0}).status_code == 200
    eventually(lambda: inference.states() == {TINY: "unloaded"}, "keep_alive 0 unloads")
    assert inference.generates()


def test_health_and_readiness(inference: Inference) -> None:
    for path in ("/health", "/ready"):
        answer = inference.ask(path)
        assert answer.status_code == 200
        assert (answer.json()["status"], answer.json()["service"], answer.json()["problem"]) == (
            "ok",
            "inference",
            None,
        )


def samples(service: Inference) -> list[Sample]:
    text = service.ask("/metrics").text
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def test_metrics_parse_and_no_series_stands_twice(inference: Inference) -> None:
    assert inference.generates()
    found = samples(inference)
    series = [(one.name, tuple(sorted(one.labels.items()))) for one in found]
    assert len(series) == len(set(series))
    states = {one.labels["state"] for one in found if one.name == "cerebrum_inference_slots"}
    assert states == {"idle", "prefill", "decode"}


def test_metrics_count_what_was_done(inference: Inference) -> None:
    def value(name: str, **labels: str) -> float:
        return next(one.value for one in samples(inference) if one.name == name and one.labels == labels)

    def counts() -> list[float]:
        return [
            value("cerebrum_inference_generated_tokens_total", model=TINY),
            value("cerebrum_inference_generations_total", model=TINY, outcome="length"),
            value("cerebrum_inference_request_tokens_per_second_count", model=TINY),
        ]

    before = counts()
    inference.ask("/v1/inference", SHORT)
    assert [now - then for now, then in zip(counts(), before, strict=True)] == [24, 1, 1]
