"""An edge before llama.cpp's own server: streams in both dialects, the server's death, and a key that it refuses."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import httpx
import openai
from testinfra.backend.base import CommandResult

from nodes import Node
from support.waiting import eventually

T = TypeVar("T")
KEY = "sk-of-the-lab-d41d8cd98f"
PROMPT = "def fibonacci(n):"
LONG = 400
# Kills the server as soon as an answer of it is well under way.
KILL = """
import json, os, pathlib, signal, subprocess, time, urllib.request
show = ["systemctl", "show", "--property=MainPID", "--value", "llama-server.service"]
process = int(subprocess.check_output(show))
ask = urllib.request.Request("http://127.0.0.1:8080/slots", headers={"Authorization": "Bearer KEY"})
give_up = time.monotonic() + 60
pathlib.Path("/run/watching").touch()
while time.monotonic() < give_up:
    slots = json.load(urllib.request.urlopen(ask))
    if any(one["is_processing"] and one["next_token"][0]["n_decoded"] > 20 for one in slots):
        os.kill(process, signal.SIGKILL)
        print("killed")
        break
"""


def stream(pi: Node, **more: Any) -> list[dict[str, Any]]:
    body = {"prompt": PROMPT, "max_tokens": LONG, "temperature": 0, **more}
    with httpx.stream("POST", f"{pi.url}/v1/complete/stream", json=body, timeout=60, trust_env=False) as answer:
        assert answer.status_code == 200, answer.read()
        return [json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line.startswith("data: ")]


def sdk(pi: Node) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{pi.url}/v1", api_key="none", max_retries=0, timeout=60)


def health(pi: Node) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{pi.url}/health", trust_env=False).json()
    return found


def through_its_death(gpu: Node, ask: Callable[[], T]) -> T:
    """What `ask` gives when the server dies of answering it. It asks again where the answer was there too soon for the
    one who watches.
    """
    done: list[CommandResult] = []
    gpu.host.check_output("rm -f /run/watching")
    process = main_process(gpu)
    killer = threading.Thread(target=lambda: done.append(gpu.host.run("python3 -c %s", KILL.replace("KEY", KEY))))
    killer.start()
    try:
        eventually(lambda: gpu.host.file("/run/watching").exists, "somebody who watches", seconds=30)
        while True:
            given = ask()
            if not killer.is_alive() or main_process(gpu) != process:
                break
    finally:
        killer.join(90)
    assert [one.stdout.strip() for one in done] == ["killed"], done
    return given


def main_process(gpu: Node) -> str:
    return str(gpu.host.check_output("systemctl show --property=MainPID --value llama-server.service"))


def test_only_backend_is_the_server_that_is_not_ours(pi: Node) -> None:
    (backend,) = httpx.get(f"{pi.url}/v1/stats", trust_env=False).json()["backends"]
    assert (backend["name"], backend["kind"], backend["available"]) == ("gpu", "openai", True)
    (model,) = httpx.get(f"{pi.url}/v1/models", trust_env=False).json()["models"]
    assert (model["id"], model["name"], model["languages"]) == ("coder", "tiny", ["python"])
    (walked,) = httpx.get(f"{pi.url}/v1/doctor", timeout=30, trust_env=False).json()["backends"]
    assert [link["ok"] for link in walked["links"]] == [True] * 4


def test_key_is_in_a_file_of_root_s_and_nowhere_else(pi: Node) -> None:
    key = pi.host.file("/etc/cerebrum/edge/keys/gpu")
    assert (key.user, key.group, key.mode, key.content_string) == ("root", "root", 0o600, f"{KEY}\n")
    files = pi.host.run(f"grep -rl --exclude-dir=proc {KEY} /etc /opt /var/log /run/systemd/system /tmp /root")
    assert files.stdout.split() == ["/etc/cerebrum/edge/keys/gpu"]
    assert KEY not in pi.host.check_output("cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '")
    assert KEY not in pi.host.check_output("journalctl --no-pager --output=cat --unit='cerebrum-edge@*'")


def test_native_stream_and_whole_answer(pi: Node) -> None:
    events = stream(pi, max_tokens=32)
    last = events[-1]
    assert (last["done"], last["model"], last["language"], last["resumed"]) == (True, "coder", "python", 0)
    assert last["total_tokens"] == 32
    body = {"prompt": PROMPT, "max_tokens": 32, "temperature": 0}
    answer = httpx.post(f"{pi.url}/v1/complete", json=body, timeout=60, trust_env=False).json()
    assert answer["text"] == "".join(event.get("token", "") for event in events)


def test_openai_s_client(pi: Node) -> None:
    with sdk(pi) as client:
        assert [model.id for model in client.models.list()] == ["coder"]
        answer = client.completions.create(model="coder", prompt=PROMPT, max_tokens=8, temperature=0)
        assert answer.usage is not None
        assert (answer.choices[0].finish_reason, answer.usage.completion_tokens) == ("length", 8)
        messages: Any = [{"role": "user", "content": "hi"}]
        usage: Any = {"include_usage": True}
        chunks = list(
            client.chat.completions.create(
                model="coder", messages=messages, max_tokens=8, stream=True, stream_options=usage
            )
        )
        assert "".join(one.choices[0].delta.content or "" for one in chunks if one.choices)
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.completion_tokens > 0


def test_editor_s_middle(pi: Node) -> None:
    body = {"input_prefix": "def f(", "input_suffix": "):\n    return x\n", "n_predict": 8, "temperature": 0}
    answer = httpx.post(f"{pi.url}/infill", json=body, timeout=60, trust_env=False)
    assert answer.status_code == 200, answer.text
    assert answer.json()["content"]


def test_stream_outlives_the_server(pi: Node, gpu: Node) -> None:
    undisturbed = stream(pi)
    events = through_its_death(gpu, lambda: stream(pi))
    last = events[-1]
    assert last["done"] is True, last
    assert "error" not in last, last
    assert last["resumed"] >= 1
    totals = [event["total_tokens"] for event in events[:-1]]
    assert totals == list(range(1, len(totals) + 1)), "no token is lost, none comes twice"
    whole, text = ("".join(event.get("token", "") for event in found) for found in (undisturbed, events))
    assert text[:40] == whole[:40]


def test_completion_of_openai_s_client_outlives_it_and_a_chat_ends_with_an_error(pi: Node, gpu: Node) -> None:
    with sdk(pi) as client:

        def complete() -> str:
            asked = client.completions.create(model="coder", prompt=PROMPT, max_tokens=LONG, temperature=0, stream=True)
            return str(list(asked)[-1].choices[0].finish_reason)

        def chat() -> openai.APIError | None:
            messages: Any = [{"role": "user", "content": "Write much."}]
            more = {"ignore_eos": True}
            try:
                asked = client.chat.completions.create(
                    model="coder", messages=messages, max_tokens=LONG, stream=True, extra_body=more
                )
                list(asked)
            except openai.APIError as error:
                return error
            return None

        assert through_its_death(gpu, complete) == "length"
        eventually(lambda: health(pi)["status"] == "ok", "the server is back", seconds=30)
        assert through_its_death(gpu, chat) is not None
    eventually(lambda: health(pi)["status"] == "ok", "the server is back", seconds=30)


def test_key_that_the_server_refuses_is_told_as_such(pi: Node, gpu: Node) -> None:
    gpu.host.check_output("cp -a /srv/key /srv/kept && echo another > /srv/key && systemctl restart llama-server")
    try:
        eventually(lambda: "refused the edge's key" in str(health(pi).get("problem")), "a problem", seconds=30)
        answer = httpx.post(f"{pi.url}/v1/complete", json={"prompt": PROMPT}, timeout=60, trust_env=False)
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_error")
        assert "refused the edge's key" in answer.json()["error"]["message"]
        links = httpx.get(f"{pi.url}/v1/doctor", timeout=30, trust_env=False).json()["backends"][0]["links"]
        assert (links[-1]["link"], links[-1]["ok"]) == ("key", False)
        assert "edge_upstreams" in links[-1]["mend"]
    finally:
        gpu.host.check_output("mv /srv/kept /srv/key && systemctl restart llama-server")
    eventually(lambda: health(pi)["status"] == "ok", "the server's key", seconds=30)
    assert stream(pi, max_tokens=4)[-1]["done"] is True
