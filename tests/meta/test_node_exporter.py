"""What the node exporter is told beside its own: a Pi's, a card's, a tailnet's, a certificate's and units' state."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.playbooks import plugin
from support.repo import ROOT

PROGRAM = ROOT / "roles/node_exporter/files/textfile.py"
textfile = plugin("roles/node_exporter/files/textfile.py")


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


def run(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The program with programs of the test before the machine's."""
    (tmp_path / "out").mkdir(exist_ok=True)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = [sys.executable, str(PROGRAM), "--into", str(tmp_path / "out"), "--sys", str(tmp_path / "sys"), *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def said(tmp_path: Path, name: str) -> list[str]:
    """The samples of a file; none where there is no file."""
    path = tmp_path / f"out/cerebrum_{name}.prom"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [line for line in lines if not line.startswith("#")]


@pytest.mark.parametrize(
    ("word", "true"),
    [
        ("0\n", set()),
        ("1", {"undervoltage now"}),
        ("50000\n", {"undervoltage since_boot", "throttled since_boot"}),
        ("80008", {"soft_temperature_limit now", "soft_temperature_limit since_boot"}),
        ("2", {"frequency_capped now"}),
    ],
)
def test_a_pi_says_what_holds_it_back(tmp_path: Path, word: str, true: set[str]) -> None:
    folder = tmp_path / "sys/devices/platform/soc/soc:firmware"
    folder.mkdir(parents=True)
    (folder / "get_throttled").write_text(word, encoding="ascii")
    assert run(tmp_path, "pi").returncode == 0
    lines = said(tmp_path, "pi")
    assert len(lines) == 8
    found = {line for line in lines if line.endswith(" 1")}
    wanted = [one.split() for one in true]
    assert found == {f'cerebrum_pi_throttled{{reason="{reason}",when="{when}"}} 1' for reason, when in wanted}


def test_a_host_that_is_no_pi_says_nothing_and_what_was_said_goes(tmp_path: Path) -> None:
    run(tmp_path, "pi")
    (tmp_path / "out/cerebrum_pi.prom").write_text("old 1\n", encoding="utf-8")
    assert run(tmp_path, "pi").returncode == 0
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("word", "samples"),
    [("0x01 0x02\n", ["0.2"]), ("0x0b 0x01\n", ["1.1"]), ("0x00 0x00\n", []), ("0x00 0x03\n", ["0.3"])],
)
def test_wear_is_the_worse_of_two_in_tenths(tmp_path: Path, word: str, samples: list[str]) -> None:
    folder = tmp_path / "sys/block/mmcblk0/device"
    folder.mkdir(parents=True)
    (folder / "life_time").write_text(word, encoding="ascii")
    (tmp_path / "sys/block/mmcblk1/device").mkdir(parents=True)  # a card that does not say
    assert run(tmp_path, "wear").returncode == 0
    lines = said(tmp_path, "wear")
    assert [round(float(line.split()[-1]), 6) for line in lines] == [float(one) for one in samples]
    assert all(line.startswith('cerebrum_sd_life_used_ratio{device="mmcblk0"} ') for line in lines)


@pytest.mark.parametrize(
    ("script", "samples"),
    [
        (
            """echo '{"BackendState": "Running", "Self": {"Online": true, "KeyExpiry": "2027-01-01T00:00:00Z"}}'""",
            ["cerebrum_tailnet_up 1", "cerebrum_tailnet_key_expiry_timestamp_seconds 1798761600"],
        ),
        ("""echo '{"BackendState": "Running", "Self": {"Online": true}}'""", ["cerebrum_tailnet_up 1"]),
        ("""echo '{"BackendState": "Running", "Self": {"Online": false}}'""", ["cerebrum_tailnet_up 0"]),
        ("""echo '{"BackendState": "NeedsLogin"}'""", ["cerebrum_tailnet_up 0"]),
        ("echo no daemon >&2; exit 1", ["cerebrum_tailnet_up 0"]),
    ],
)
def test_the_tailnet_is_up_or_down_and_never_unknown(tmp_path: Path, script: str, samples: list[str]) -> None:
    program(tmp_path, "tailscale", script)
    assert run(tmp_path, "tailnet").returncode == 0
    assert said(tmp_path, "tailnet") == samples


def test_a_certificate_s_end_is_told(tmp_path: Path) -> None:
    path = tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=pi"]
    subprocess.run([*command, "-keyout", os.devnull, "-out", str(path)], check=True, capture_output=True)
    assert run(tmp_path, "certificates", "--certificate", str(path)).returncode == 0
    (line,) = said(tmp_path, "certificates")
    assert line.startswith(f'cerebrum_certificate_not_after_timestamp_seconds{{path="{path}"}} ')
    assert abs(float(line.split()[-1]) - path.stat().st_mtime - 30 * 86400) < 60


def test_one_that_fails_keeps_the_others_from_nothing(tmp_path: Path) -> None:
    program(tmp_path, "tailscale", "echo '{}'")
    done = run(tmp_path, "certificates", "tailnet", "--certificate", str(tmp_path / "missing.pem"))
    assert done.returncode == 1
    assert "certificates: " in done.stderr
    assert said(tmp_path, "certificates") == []
    assert said(tmp_path, "tailnet") == ["cerebrum_tailnet_up 0"]


def test_units_are_in_one_state_each(tmp_path: Path) -> None:
    program(
        tmp_path,
        "systemctl",
        "printf 'Type=notify\\nId=cerebrum-edge@a.service\\nActiveState=active\\n\\n"
        "Id=cerebrum-edge.socket\\nActiveState=failed\\n\\nId=cerebrum.slice\\nActiveState=active\\n'",
    )
    assert run(tmp_path, "units").returncode == 0
    lines = said(tmp_path, "units")
    assert len(lines) == 10
    assert 'node_systemd_unit_state{name="cerebrum-edge@a.service",type="notify",state="active"} 1' in lines
    assert 'node_systemd_unit_state{name="cerebrum-edge.socket",type="",state="failed"} 1' in lines
    assert sum(line.endswith(" 1") for line in lines) == 2


def test_labels_cannot_break_a_line() -> None:
    family = textfile.Family("x", "y", [({"a": 'b"\n\\c'}, 1.0)])
    assert textfile.rendered([family]).splitlines()[-1] == r'x{a="b\"\n\\c"} 1'


def test_the_clock_is_what_the_kernel_says(tmp_path: Path) -> None:
    assert run(tmp_path, "clock").returncode == 0
    lines = said(tmp_path, "clock")
    if lines:  # a container may not even ask
        values = {line.split()[0]: float(line.split()[1]) for line in lines}
        assert values["node_timex_sync_status"] in (0, 1)
        assert abs(values["node_timex_offset_seconds"]) < 1
        assert 0 <= values["node_timex_maxerror_seconds"] <= 20
