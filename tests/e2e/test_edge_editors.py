"""The edge as editors and shells use it: llama.cpp's `/infill` as llama.vim sends it, and curl."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from support.fake_upstream import fake_upstream
from support.inference import LONG, TINY, events
from support.process import console_script, running
from support.raw import RawClient, request
from support.system import System, edge_environment, running_system
from support.waiting import eventually

# What llama.vim sends with every keystroke; most of it means nothing to us.
LLAMA_VIM: dict[str, Any] = {
    "id_slot": 0,
    "input_prefix": "import os\n\n\ndef size_of(path):\n",
    "input_suffix": "\n    return size\n",
    "input_extra": [{"text": "def other():\n    pass\n", "time": 1.5, "filename": "other.py"}],
    "prompt": "    size = ",
    "n_predict": 24,
    "n_indent": 4,
    "top_k": 40,
    "top_p": 0.9,
    "temperature": 0.0,
    "stream": False,
    "samplers": ["top_k", "top_p", "infill"],
    "cache_prompt": True,
    "t_max_prompt_ms": 500,
    "t_max_predict_ms": 1000,
    "response_fields": ["content", "timings/prompt_n", "timings/predicted_n", "truncated"],
}
OURS = {"input_prefix", "input_suffix", "prompt", "n_predict", "top_k", "top_p", "temperature"}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running_system(tmp_path_factory.mktemp("editors"), inference={"FLASH_ATTENTION": "off"}) as both:
        yield both


def infill(system: System, path: str = "/infill", **changes: Any) -> httpx.Response:
    return httpx.post(f"{system.edge.url}{path}", json={**LLAMA_VIM, **changes}, timeout=60, trust_env=False)


def counted(url: str, name: str) -> float:
    lines = httpx.get(f"{url}/metrics", trust_env=False).text.splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[-1])


@pytest.mark.parametrize("path", ["/infill", "/v1/infill"])
def test_editors_request_is_answered_and_its_unknown_fields_are_counted(system: System, path: str) -> None:
    before = counted(system.edge.url, "cerebrum_edge_ignored_fields_total")
    answer = infill(system, path)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["model"], answer.json()["content"] != "") == (TINY, True)
    assert counted(system.edge.url, "cerebrum_edge_ignored_fields_total") - before == len(LLAMA_VIM.keys() - OURS)


def test_infill_is_what_the_backend_says_without_the_edge(system: System) -> None:
    body = {name: LLAMA_VIM[name] for name in OURS}
    direct = system.ask("/infill", method="POST", json=body).json()
    assert infill(system).json()["content"] == direct["content"] != ""


def test_warm_up_is_no_answer_and_fills_the_cache(system: System) -> None:
    prefix = "".join(f"VALUE_{at} = {at}\n" for at in range(60))
    warm = infill(system, input_prefix=prefix, n_predict=0)
    assert (warm.status_code, warm.json()["content"]) == (200, "")
    found = infill(system, input_prefix=prefix, n_predict=4).json()
    assert found["timings"]["cached_tokens"] > found["timings"]["prompt_tokens"] / 2


def test_long_texts_around_the_cursor_are_not_condensed(system: System) -> None:
    prefix = "".join(f"def f{at}(a):\n    return a + {at}\n\n\n" for at in range(200))
    assert len(prefix) > 5000
    answer = infill(system, input_prefix=prefix, n_predict=1)
    whole = system.ask("/v1/tokenize", method="POST", json={"text": prefix}).json()["tokens"]
    assert "x-cerebrum-condensed" not in answer.headers
    assert answer.json()["timings"]["prompt_tokens"] >= len(whole)


def test_editor_that_goes_on_typing_frees_the_slot(system: System) -> None:
    body = json.dumps({**LLAMA_VIM, "input_suffix": "", "n_predict": LONG["max_tokens"], "stop": ["\x00"]}).encode()
    with RawClient(system.edge.port) as client:
        client.send(request("/infill", body))
        eventually(lambda: system.slots_busy() == 1, "a busy slot")
    eventually(lambda: system.slots_busy() == 0, "a free slot")


def test_editor_that_goes_on_typing_before_an_answer_has_begun_frees_the_backend() -> None:
    with (
        fake_upstream(lambda connection: fake.wait_for_client_to_leave(connection)) as fake,
        running([console_script("cerebrum-edge")], edge_environment(fake.url)) as edge,
    ):
        with RawClient(edge.port) as client:
            client.send(request("/infill", json.dumps(LLAMA_VIM).encode()))
            eventually(lambda: any(asked.startswith(b"POST /infill") for asked in fake.requests), "a request upstream")
        assert fake.client_gone.wait(15)


def curl(*words: str, **more: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(["curl", "-sS", "--noproxy", "*", *words], stdout=subprocess.PIPE, text=True, **more)


def test_curl_streams_to_the_end(system: System) -> None:
    body = {"prompt": "def fibonacci(n):", "max_tokens": 20, "temperature": 0}
    for path, end in (("/v1/complete/stream", '"done":true'), ("/v1/completions", "[DONE]")):
        asked = json.dumps({**body, "stream": True})
        command = ("-N", f"{system.edge.url}{path}", "-H", "content-type: application/json", "-d", asked)
        with curl(*command) as process:
            text, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert end in text.strip().splitlines()[-1]
        assert len(list(events(iter(text.splitlines())))) >= 2


def test_curl_that_is_interrupted_frees_the_slot(system: System) -> None:
    url = f"{system.edge.url}/v1/complete/stream"
    asked = json.dumps(LONG)
    with curl("-N", url, "-H", "content-type: application/json", "-d", asked) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("data: ")
        assert system.slots_busy() == 1
        process.terminate()
    eventually(lambda: system.slots_busy() == 0, "a free slot")


def test_curl_fails_where_the_edge_refuses(system: System) -> None:
    with curl(
        "--fail", f"{system.edge.url}/v1/complete", "-H", "content-type: application/json", "-d", "{}"
    ) as process:
        process.communicate(timeout=60)
    assert process.returncode == 22
