"""The edge on arm64: what was installed there, that it works, and what it takes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest

from cerebrum_edge.condense import condense
from nodes import ROOT, Node
from support.playbooks import plugin

# Everything on this host takes about ten times as long.
pytestmark = pytest.mark.timeout(300)
ELF_AARCH64 = 0xB7
# qemu gives an aarch64 program's memory addresses from 0x5500000000 on; its own lies far above.
GUEST_END = 1 << 40
SOURCES = plugin("services/edge/tests/condense/test_condense_languages.py").SOURCES


def venv(pi: Node) -> str:
    return f"/opt/cerebrum/edge/releases/{pi.instance().split('@')[1].rsplit('.', 2)[0]}/venv"


def stream(pi: Node, **more: Any) -> list[dict[str, Any]]:
    body = {"max_tokens": 24, "temperature": 0, **more}
    with httpx.stream("POST", f"{pi.url}/v1/complete/stream", json=body, timeout=120, trust_env=False) as answer:
        assert answer.status_code == 200, answer.read()
        return [json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line.startswith("data: ")]


def test_hosts_are_of_two_architectures(pi: Node, vps: Node) -> None:
    assert pi.host.check_output("uname -m") == "aarch64"
    assert pi.host.check_output("dpkg --print-architecture") == "arm64"
    assert vps.host.check_output("uname -m") == "x86_64"


def test_unit_is_ready_and_host_is_whole(pi: Node) -> None:
    unit = pi.instance()
    assert pi.host.check_output(f"systemctl show --property=StatusText --value {unit}") == "ready"
    assert pi.host.check_output(f"systemctl is-enabled {unit}") == "enabled"
    assert pi.host.check_output(f"systemctl show --property=NRestarts --value {unit}") == "0"
    assert pi.host.check_output("systemctl is-system-running") == "running"


def test_shipped_unit_is_changed_by_two_drop_ins_and_no_others(pi: Node) -> None:
    """With them, the rest of the sandbox is on; its exposure is within the limit with one setting less."""
    unit = pi.instance()
    drop_ins = pi.host.check_output(f"systemctl show --property=DropInPaths --value {unit}").split()
    assert {path.rpartition("/")[2] for path in drop_ins} == {"qemu-user.conf", "qemu-user-credentials.conf"}
    done = pi.host.run(f"systemd-analyze security --no-pager --threshold=12 {unit}")
    assert done.rc == 0, done.stdout


def test_everything_compiled_is_for_this_architecture(pi: Node) -> None:
    # Of each library, what its ELF header says: the machine, two bytes at 18.
    found = pi.host.check_output(
        f"cd {venv(pi)}/lib/python3.11/site-packages && find . -name '*.so*' -type f | while read -r file; do"
        ' printf "%s %s\\n" "$file" "$(od -An -tu2 -j18 -N2 "$file")"; done'
    )
    machines = {line.split()[0]: int(line.split()[1]) for line in found.splitlines()}
    for package in ("uvloop", "httptools", "aiohttp", "pydantic_core", "tree_sitter", "tree_sitter_cpp", "psutil"):
        assert any(name.startswith(f"./{package}/") for name in machines), package
    assert set(machines.values()) == {ELF_AARCH64}
    tags = pi.host.check_output(f"grep -h ^Tag: {venv(pi)}/lib/python3.11/site-packages/*.dist-info/WHEEL")
    assert re.findall(r"(?m)^Tag: .*(?:x86_64|amd64)", tags) == []


def test_versions_are_the_locks(pi: Node) -> None:
    """pip took each from the lock by its hash; none is left out because this architecture has no wheel of it."""
    locked = dict(re.findall(r"(?m)^([a-z0-9-]+)==(\S+)", (ROOT / "locks/edge.txt").read_text(encoding="utf-8")))
    rows = json.loads(pi.host.check_output(f"{venv(pi)}/bin/pip --disable-pip-version-check list --format=json"))
    there = {row["name"].lower().replace("_", "-"): row["version"] for row in rows}
    assert {name: there.get(name) for name in locked} == locked


def test_a_stream_goes_through_the_pi(pi: Node, vps: Node) -> None:
    *tokens, done = stream(pi, prompt="def fibonacci(n):")
    assert (done["done"], done["total_tokens"], done["language"]) == (True, 24, "python")
    assert "".join(event["token"] for event in tokens)
    health = httpx.get(f"{pi.url}/health", timeout=60, trust_env=False).json()
    assert health["status"] == "ok"
    assert len(vps.instances()) == 1


def test_openais_client_streams_the_same_text(pi: Node) -> None:
    *tokens, _ = stream(pi, prompt="import os")
    with openai.OpenAI(base_url=f"{pi.url}/v1", api_key="none", max_retries=0, timeout=120) as client:
        chunks = client.completions.create(
            model="cerebrum-tiny", prompt="import os", max_tokens=24, temperature=0, stream=True
        )
        text = "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)
    assert text == "".join(event["token"] for event in tokens)


@pytest.mark.parametrize("language", sorted(SOURCES))
def test_condensation_decides_here_as_it_does_there(pi: Node, language: str) -> None:
    """Every grammar runs on this host, and what is kept is what the machine that tests keeps."""
    head, body, tail, _ = SOURCES[language]
    units = (body.replace("{name}", f"load_{n}").replace("{index}", str(n)) for n in range(60))
    code = head + "".join(unit.replace("{{", "{").replace("}}", "}") for unit in units) + tail
    ask = {"prompt": code, "instruction": "make load_41 faster", "language": language, "budget": 2000}
    found = httpx.post(f"{pi.url}/v1/condense", json=ask, timeout=120, trust_env=False).json()
    wanted = condense(code, instruction="make load_41 faster", language=language, budget=2000)
    assert found["text"] == wanted.text
    assert found["condensed"] is True
    assert found["after"] <= 2000 < found["before"]


def test_a_large_prompt_reaches_the_model_condensed(pi: Node) -> None:
    code = (ROOT / "services/edge/src/cerebrum_edge/settings.py").read_text(encoding="utf-8")
    done = stream(pi, prompt=f"explain how timeouts are set\n\n{code}", max_tokens=4)[-1]
    assert done["condensed"]["after"] < done["condensed"]["before"] - 500
    assert done["total_tokens"] == 4


def resident(pi: Node) -> dict[str, int]:
    """Resident KiB of the edge's process: its own, and qemu's, which runs it."""
    pid = pi.host.check_output(f"systemctl show --property=MainPID --value {pi.instance()}")
    smaps = pi.host.check_output(f"cat /proc/{pid}/smaps")
    own = {"edge": 0, "qemu": 0}
    whose = ""
    for line in smaps.splitlines():
        if mapping := re.match(r"([0-9a-f]+)-[0-9a-f]+ ", line):
            whose = "edge" if int(mapping[1], 16) < GUEST_END else "qemu"
        elif line.startswith("Rss:"):
            own[whose] += int(line.split()[1])
    return own


def seconds(pi: Node, begun: str, over: str) -> float:
    """Between two commands' answers, which are times."""
    return float(pi.host.check_output(over)) - float(pi.host.check_output(begun))


def test_memory_and_times_are_told(pi: Node, record_property: Callable[[str, str], None]) -> None:
    """conftest.py writes them below the results. They are looked at, not judged: the machine and qemu decide them."""
    own = resident(pi)
    record_property("resident", f"edge {own['edge'] // 1024} MiB, qemu around it {own['qemu'] // 1024} MiB")
    release = venv(pi).removesuffix("/venv")
    modified = "stat --format=%.Y"
    installed = seconds(pi, f"{modified} {release}/dist/requirements.txt", f"{modified} {release}/.complete")
    show = f"systemctl show {pi.instance()} --value --property"
    ready = seconds(pi, f"{show} InactiveExitTimestampMonotonic", f"{show} ActiveEnterTimestampMonotonic") / 1e6
    record_property("times", f"release installed in {installed:.0f} s, instance ready in {ready:.0f} s")
    assert min(*own.values(), installed, ready) > 0
