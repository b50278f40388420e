"""`cerebrum top` by a real Prometheus."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from support.monitored import Monitored
from support.process import console_script
from support.terminal import cerebrum_terminal
from support.waiting import eventually


def test_prometheus_tells_of_all_of_it(monitored: Monitored) -> None:
    texts: list[str] = []

    def tells_rates() -> bool:
        done = subprocess.run(
            [console_script("cerebrum"), "top", "--once", "--prometheus", monitored.prometheus.url],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": os.environ["PATH"]},
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        texts.append(done.stdout)
        return "rates over the last" in done.stdout

    eventually(tells_rates, "rates, of which a Prometheus that has just begun has none", seconds=60)
    text = texts[-1]
    assert f"Prometheus at {monitored.prometheus.url}" in text
    shown = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert "yes" in shown["answering"]
    assert "pi ready development" in text
    assert "vps ready development" in text
    assert "answered" in shown["probe"]
    assert "idle" in shown["slots"]
    assert "TriedOut" in shown
    assert "ticket" in shown["TriedOut"]
    assert "Watchdog" not in text


def test_a_target_that_does_not_answer_is_named(monitored: Monitored, tmp_path: Path) -> None:
    with cerebrum_terminal(
        "top", "--interval", "0.2", "--prometheus", monitored.prometheus.url, url="http://127.0.0.1:1", home=tmp_path
    ) as at:
        at.wait_for("TriedOut")
        os.kill(monitored.system.inference.process.pid, signal.SIGSTOP)
        try:
            at.wait_for("inference on vps does not answer Prometheus")
        finally:
            os.kill(monitored.system.inference.process.pid, signal.SIGCONT)
        monitored.prometheus.wait_for_scrapes()
        at.press("q")
        assert at.end() == 0
