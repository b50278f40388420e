"""The embedded default: two console scripts without a setting find the model, a key and each other."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

from support.process import console_script
from support.waiting import eventually

SCRIPT = """
ip link set lo up
"$1" > "$HOME/inference.log" 2>&1 &
"$2" > "$HOME/edge.log" 2>&1 &
for _ in $(seq 300); do "$3" status > /dev/null 2>&1 && break; sleep 0.1; done
"$3" ask "def fibonacci(n):" --max-tokens 8
code=$?
kill %1 %2
wait
exit $code
"""


def test_services_without_settings_find_each_other(tmp_path: Path) -> None:
    """In a network namespace of its own, because the default ports are the machine's."""
    isolated = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
    scripts = [console_script(name) for name in ("cerebrum-inference", "cerebrum-edge", "cerebrum")]
    done = subprocess.run(
        [*isolated, "/bin/bash", "-c", SCRIPT, "bash", *scripts],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    logs = "".join((tmp_path / name).read_text() for name in ("inference.log", "edge.log"))
    assert done.returncode == 0, done.stderr + logs
    assert "8 tokens in" in done.stderr
    key = tmp_path / ".local/state/cerebrum/inference-key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert str(key) in logs
    assert key.read_text() not in logs
    eventually(lambda: "stopped" in (tmp_path / "edge.log").read_text(), "a clean end")
