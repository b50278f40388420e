"""What must hold for the repository as a whole."""

from __future__ import annotations

import ast
import hashlib
import re
from pathlib import Path

import pytest

from support.repo import ROOT, load, text_files, tracked

PACKAGES = {"kit", "edge", "inference", "cli"}
# Parts that decide and do no I/O: they see `now` and events, and nothing of the outside.
GUARDING = ["admission", "aside", "balance", "breaker", "ranges", "retry"]
SCHEDULING = ["contention", "lookup", "output", "pacing", "plan", "prefix", "queueing", "rates"]
ANSWER = ["fences", "languages", "lexing", "paint", "receipt"]
CONDENSE = (ROOT / "services/edge/src/cerebrum_edge/condense").glob("[a-z]*.py")  # its __init__ reads the clock
RELAY = ["answer", "assembly", "exchange", "foreign", "frames", "listing", "native", "openai", "survival", "verdict"]
DASHBOARDS = ["board", "edge", "hosts", "inference", "machine", "overview", "panels", "promql", "units", "watchers"]
PURE = [
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "monitoring").glob("[a-z]*.py")),
    "roles/firewall/filter_plugins/firewall.py",
    "plugins/filter/memory.py",
    "roles/preflight/filter_plugins/preflight.py",
    "scripts/inventory/answers.py",
    "scripts/inventory/questions.py",
    "services/kit/src/cerebrum_kit/sse.py",
    "services/kit/src/cerebrum_kit/errors.py",
    "services/edge/src/cerebrum_edge/language.py",
    "services/edge/src/cerebrum_edge/routing.py",
    "services/edge/src/cerebrum_edge/ratios.py",
    *(f"services/edge/src/cerebrum_edge/guard/{name}.py" for name in GUARDING),
    *sorted(str(path.relative_to(ROOT)) for path in CONDENSE),
    *(f"services/edge/src/cerebrum_edge/relay/{name}.py" for name in RELAY),
    *(f"services/cli/src/cerebrum_cli/answer/{name}.py" for name in ANSWER),
    *(f"services/cli/src/cerebrum_cli/{name}.py" for name in ("doctor", "prompt", "reports", "repl/commands")),
    *(f"services/cli/src/cerebrum_cli/top/{name}.py" for name in ("facts", "picture", "render", "series")),
    *(f"monitoring/dashboards/{name}.py" for name in DASHBOARDS),
    *(f"services/edge/src/cerebrum_edge/{name}.py" for name in ("outcomes", "pace", "waits")),
    "services/cli/src/cerebrum_cli/probe/textfile.py",
    "services/inference/src/cerebrum_inference/residency.py",
    "services/inference/src/cerebrum_inference/grammar/schema.py",
    "services/inference/src/cerebrum_inference/grammar/tools.py",
    *(f"services/inference/src/cerebrum_inference/scheduling/{name}.py" for name in SCHEDULING),
    *(f"services/inference/src/cerebrum_inference/store/{name}.py" for name in ("plan", "progress", "references")),
    "services/inference/src/cerebrum_inference/gguf/header.py",
    "services/inference/src/cerebrum_inference/gguf/facts.py",
    "services/inference/src/cerebrum_inference/gguf/reader.py",
    "services/inference/src/cerebrum_inference/gguf/tensor_types.py",
    "services/inference/src/cerebrum_inference/gguf/syscall_filter.py",
    *(f"benchmarks/{name}.py" for name in ("edge_bars", "edge_shapes", "edge_wire")),
]
OUTSIDE = {"asyncio", "httpx", "socket", "time", "os", "pathlib", "threading", "fastapi", "starlette", "subprocess"}
SECRETS = [
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    r"tskey-[a-z]+-[A-Za-z0-9]{8,}",
    r"\bhf_[A-Za-z0-9]{20,}",
    r"\bsk-[A-Za-z0-9]{20,}",
    r"\bgh[pousr]_[A-Za-z0-9]{20,}",
    r"\bAKIA[0-9A-Z]{16}\b",
]
REGISTRIES = [
    "pypi" + ".org",
    "pythonhosted" + ".org",
    "deb.debian" + ".org",
    "registry.npmjs" + ".org",
    "proxy.golang" + ".org",
    "crates" + ".io",
    "maven" + ".org",
]


def imports(path: Path) -> set[str]:
    """Top-level names of the modules that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_imports_point_one_way(package: str) -> None:
    others = {f"cerebrum_{name}" for name in PACKAGES - {package, "kit"}}
    allowed = set() if package == "kit" else {"cerebrum_kit"}
    for path in (ROOT / "services" / package / "src").rglob("*.py"):
        forbidden = imports(path) & (others | {"cerebrum_kit"}) - allowed - {f"cerebrum_{package}"}
        assert not forbidden, f"{path}: {forbidden}"


@pytest.mark.parametrize("name", PURE)
def test_what_decides_does_no_io(name: str) -> None:
    assert not imports(ROOT / name) & OUTSIDE


def test_no_framework_middleware_that_hides_disconnects() -> None:
    for path in (ROOT / "services").rglob("src/**/*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        assert "BaseHTTPMiddleware" not in names, path


def test_modules_have_one_reason_to_change() -> None:
    for path in [
        *(ROOT / "services").rglob("src/**/*.py"),
        *(ROOT / "roles").rglob("*.py"),
        *(path for path in (ROOT / "scripts").rglob("*") if path.is_file() and path.suffix != ".pyc"),
    ]:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= 300, f"{path}: {lines} lines"


def test_no_secrets() -> None:
    for path, text in text_files():
        for pattern in SECRETS:
            assert not re.search(pattern, text), f"{path}: {pattern}"


def test_no_registry_addresses() -> None:
    assert not (ROOT / "uv.lock").exists()
    for path, text in text_files():
        for host in REGISTRIES:
            assert host not in text, f"{path}: {host}"


def test_locks_pin_every_requirement_by_hash() -> None:
    for path in sorted((ROOT / "locks").glob("*.txt")):
        for requirement in re.split(r"\n(?=[a-z0-9])", re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE)):
            if requirement.strip():
                assert re.match(r"[\w.-]+(\[.*\])?==\S+", requirement), f"{path}: {requirement[:60]}"
                assert "--hash=sha256:" in requirement, f"{path}: {requirement[:60]}"


def test_service_locks_agree_with_the_development_lock() -> None:
    def pins(name: str) -> dict[str, str]:
        return dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "locks" / name).read_text(), re.MULTILINE))

    development = pins("dev.txt")
    for name in ("edge.txt", "inference.txt", "cli.txt"):
        for package, version in pins(name).items():
            assert development.get(package) == version, f"{name}: {package}"


def test_shipped_model_is_the_manifests() -> None:
    row = load("models/manifest.yml")["models"][0]
    data = (ROOT / "models" / row["file"]).read_bytes()
    assert len(data) == row["size_bytes"] <= 8 * 1024 * 1024
    assert hashlib.sha256(data).hexdigest() == row["sha256"]


SILENCERS = r"failed_when: false|ignore_errors:|# noqa(: \w+)?|# type: ignore(\[[\w, -]+\])?|mark\.(skip|xfail)|except:"


def test_what_silences_a_check_has_its_reason_beside_it() -> None:
    for path, text in text_files():
        if path.suffix not in {".py", ".yml", ".sh", ".j2"} or path.parts[0] == "tests" or "tests" in path.parts:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            found = re.search(SILENCERS, line)
            if found:
                words = re.findall(r"[A-Za-z]{2,}", line[found.end() :])
                assert len(words) >= 3, f"{path}:{number}: {line.strip()}"


def test_links_lead_somewhere() -> None:
    for path, text in text_files():
        if path.suffix != ".md":
            continue
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
            if not target.startswith(("http://", "https://")):
                assert (ROOT / path.parent / target).exists(), f"{path}: {target}"


def test_make_targets_that_are_named_exist() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for path, text in text_files():
        if path.suffix == ".md":
            for target in re.findall(r"`make ([a-z0-9-]+)", text):
                assert target in targets, f"{path}: make {target}"


def test_scripts_can_be_run() -> None:
    for path in tracked():
        if path.read_bytes()[:2] == b"#!":
            assert path.stat().st_mode & 0o111, f"{path.relative_to(ROOT)} has a #! line and is not executable"
