"""Programs that people put before an OpenAI address, before the edge: the `llm` CLI, and an edit by `aider`.

Each has a venv of its own from a lock of ours; the first run on a machine downloads them.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.fake_upstream import CHUNKED, chunk, fake_upstream
from support.process import console_script, running
from support.repo import ROOT
from support.system import System, edge_environment, running_system

# Whatever they would ask of the world outside fails at once, and is nothing that they need.
NO_NETWORK = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
NO_PROXY = {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
pytestmark = pytest.mark.timeout(600)


def client(name: str) -> Path:
    """The program, from its venv."""
    made = subprocess.run(
        [str(ROOT / "scripts/client_venv.sh"), name],
        env={**os.environ, "UV": console_script("uv")},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Path(made.stdout.strip()) / "bin" / name


def run(program: Path, *words: str, home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "dumb", **NO_NETWORK, **NO_PROXY, **more}
    return subprocess.run(
        [program, *words],
        env=environment,
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running_system(tmp_path_factory.mktemp("tools"), inference={"FLASH_ATTENTION": "off"}) as both:
        yield both


def test_llm_asks_streamed_and_whole_and_logs_what_it_used(system: System, tmp_path: Path) -> None:
    llm = client("llm")
    rows = [
        {"model_id": "cerebrum", "model_name": "auto", "api_base": f"{system.edge.url}/v1"},
        {"model_id": "gone", "model_name": "gpt-9", "api_base": system.edge.url},
    ]
    (tmp_path / "extra-openai-models.yaml").write_text(json.dumps(rows), encoding="utf-8")

    def ask(*words: str) -> subprocess.CompletedProcess[str]:
        return run(llm, *words, home=tmp_path, LLM_USER_PATH=str(tmp_path))

    options = ("-m", "cerebrum", "hello", "-o", "max_tokens", "12", "-o", "temperature", "0")
    streamed, whole = ask(*options), ask(*options, "--no-stream")
    assert (streamed.returncode, whole.returncode) == (0, 0), streamed.stderr + whole.stderr
    assert streamed.stdout.strip() == whole.stdout.strip() != ""
    logged: list[dict[str, Any]] = json.loads(ask("logs", "-n", "2", "--json").stdout)
    for row in logged:
        assert row["response"].strip() == whole.stdout.strip()
        assert (row["input_tokens"] > 0, row["output_tokens"]) == (True, 12)
    refused = ask("-m", "gone", "hello")
    assert refused.returncode == 1
    assert "There is no model 'gpt-9'; available are: cerebrum-tiny." in refused.stderr


BEFORE = 'def greet():\n    return "hello"\n'
AFTER = 'def greet(name):\n    return f"hello {name}"\n'
EDIT = f"""greet gets its name.

greet.py
```python
<<<<<<< SEARCH
{BEFORE}=======
{AFTER}>>>>>>> REPLACE
```
"""


def edits(connection: socket.socket) -> None:
    """A backend that streams the edit, a line for a token."""
    connection.sendall(CHUNKED)
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    lines = [{"delta": {"content": line}, "tokens": [at]} for at, line in enumerate(EDIT.splitlines(keepends=True))]
    choices: list[dict[str, Any]] = [{"delta": {"role": "assistant", "content": ""}}, *lines, {"delta": {}}]
    for number, choice in enumerate(choices, 1):
        reason = "stop" if number == len(choices) else None
        event = {**head, "choices": [{"index": 0, **choice, "finish_reason": reason}]}
        connection.sendall(chunk(b"data: " + json.dumps(event).encode() + b"\n\n"))
    connection.sendall(chunk(b"data: [DONE]\n\n") + chunk(b""))


@pytest.mark.parametrize("streaming", ["--stream", "--no-stream"])
def test_aider_edits_a_file_as_the_backend_says(tmp_path: Path, streaming: str) -> None:
    aider = client("aider")
    (tmp_path / "greet.py").write_text(BEFORE, encoding="utf-8")
    facts = {"openai/m": {"max_input_tokens": 8192, "max_output_tokens": 4096, "litellm_provider": "openai"}}
    facts["openai/m"] |= {"mode": "chat", "input_cost_per_token": 0, "output_cost_per_token": 0}
    (tmp_path / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
    with fake_upstream(edits) as fake, running([console_script("cerebrum-edge")], edge_environment(fake.url)) as edge:
        done = run(
            aider,
            *("--model", "openai/m", "--weak-model", "openai/m", "--edit-format", "diff", streaming),
            *("--openai-api-base", f"{edge.url}/v1", "--openai-api-key", "none"),
            *("--model-metadata-file", "facts.json", "--no-show-model-warnings", "--no-check-update"),
            *("--no-git", "--yes-always", "--analytics-disable", "--no-pretty", "--map-tokens", "0"),
            *("--no-show-release-notes", "--no-detect-urls", "--no-auto-lint", "--no-suggest-shell-commands"),
            *("--message", "give greet a name", "greet.py"),
            home=tmp_path,
            LITELLM_LOCAL_MODEL_COST_MAP="True",
        )
        asked = [one for one in fake.requests if one.startswith(b"POST")]
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "greet.py").read_text(encoding="utf-8") == AFTER, done.stdout + done.stderr
    assert len(asked) == 1
    messages = json.loads(asked[0].partition(b"\r\n\r\n")[2])["messages"]
    assert "give greet a name" in json.dumps(messages)
