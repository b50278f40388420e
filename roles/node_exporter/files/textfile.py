#!/usr/bin/python3
"""What Prometheus' node exporter does not tell by itself, as files for its textfile collector.

usage: textfile.py --into FOLDER [--sys /sys] [--certificate FILE]... [pi|wear|clock|tailnet|certificates|units]...

Each of them has a file of its own, `cerebrum_NAME.prom`, which is replaced whole. One that has nothing to tell on this
host has none; one that fails keeps the others from nothing, and its file is taken away, so that nothing old is told as
new.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

REASONS = {0: "undervoltage", 1: "frequency_capped", 2: "throttled", 3: "soft_temperature_limit"}
SINCE_BOOT = 16  # what is so now, and these bits further on whether it ever was
WORN_OUT = 11  # JEDEC: tenths of a life, 1 to 10, and 11 for what is beyond
STATES = ("activating", "active", "deactivating", "failed", "inactive")
KINDS = (".service", ".socket", ".timer")
SECONDS = 20.0
# timex(2)
CLOCK_IS_WRONG, UNSYNCHRONISED, NANOSECONDS = 5, 0x40, 0x2000


class Family(NamedTuple):
    """A gauge, and its samples as labels and value."""

    name: str
    help: str
    samples: list[tuple[dict[str, str], float]]


class Place(NamedTuple):
    """Where it is looked."""

    sys: Path
    certificates: list[Path]


class Timex(ctypes.Structure):
    """The beginning of the kernel's structure, and room for its rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_long * 32),
    )


class Failed(Exception):
    """What was to be told cannot be; the words are for the journal."""


def pi(place: Place) -> list[Family]:
    """What a Raspberry Pi's firmware says of its supply and its heat."""
    found = sorted(place.sys.glob("devices/platform/soc*/soc*firmware/get_throttled"))
    if not found:
        return []
    bits = int(found[0].read_text(encoding="ascii").strip(), 16)
    samples = [
        ({"reason": reason, "when": when}, float(bits >> (bit + shift) & 1))
        for when, shift in (("now", 0), ("since_boot", SINCE_BOOT))
        for bit, reason in REASONS.items()
    ]
    return [Family("cerebrum_pi_throttled", "1 where the Pi's firmware says that it is, or was, held back.", samples)]


def wear(place: Place) -> list[Family]:
    """How much of their lives eMMC and SD cards have used up, of those that say it; the worse of two kinds of cells."""
    samples = []
    for path in sorted(place.sys.glob("block/mmcblk*/device/life_time")):
        tenths = max(int(word, 16) for word in path.read_text(encoding="ascii").split())
        if 1 <= tenths <= WORN_OUT:  # 0: it does not say
            samples.append(({"device": path.parts[-3]}, tenths / 10))
    return [Family("cerebrum_sd_life_used_ratio", "Part of the device's life that is used up, at most.", samples)]


def clock(_place: Place) -> list[Family]:
    """How well the clock is kept. The exporter's own collector would have to be allowed to set it."""
    found = Timex()
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(found))
    if state < 0:
        return []  # a container may not even ask, and cannot keep its clock
    synchronised = state != CLOCK_IS_WRONG and not found.status & UNSYNCHRONISED
    unit = 1e-9 if found.status & NANOSECONDS else 1e-6
    return [
        Family("node_timex_sync_status", "1 while the clock is kept by another.", [({}, float(synchronised))]),
        Family("node_timex_offset_seconds", "How far it is from the other.", [({}, found.offset * unit)]),
        Family("node_timex_maxerror_seconds", "How far it may be, at most.", [({}, found.maxerror * 1e-6)]),
    ]


def tailnet(_place: Place) -> list[Family]:
    """Whether the host is in its tailnet, and until when its key is good."""
    try:
        said = json.loads(output("tailscale", "status", "--json", "--peers=false"))
    except Failed as exc:
        tell("tailnet", exc)
        said = {}  # a daemon that does not answer is a tailnet that is down
    own = said.get("Self") or {}
    up = said.get("BackendState") == "Running" and bool(own.get("Online", True))
    families = [Family("cerebrum_tailnet_up", "1 while the host is in its tailnet.", [({}, float(up))])]
    if expiry := own.get("KeyExpiry"):
        families.append(
            Family(
                "cerebrum_tailnet_key_expiry_timestamp_seconds",
                "When the host's key ends; none where it does not.",
                [({}, datetime.fromisoformat(expiry).timestamp())],
            )
        )
    return families


def certificates(place: Place) -> list[Family]:
    samples = []
    for path in place.certificates:
        said = output("openssl", "x509", "-noout", "-enddate", "-in", str(path))
        samples.append(({"path": str(path)}, float(ssl.cert_time_to_seconds(said.strip().removeprefix("notAfter=")))))
    return [Family("cerebrum_certificate_not_after_timestamp_seconds", "When the certificate ends.", samples)]


def units(_place: Place) -> list[Family]:
    """States of Cerebrum's units. The exporter's own collector of them would want D-Bus, which not every host has."""
    said = output("systemctl", "show", "--property=Id,ActiveState,Type", "cerebrum-*", "prometheus*.service")
    samples = []
    for block in said.strip().split("\n\n"):
        rows = dict(line.partition("=")[::2] for line in block.splitlines())
        if rows.get("Id", "").endswith(KINDS):
            labels, active = {"name": rows["Id"], "type": rows.get("Type", "")}, rows["ActiveState"]
            samples += [({**labels, "state": state}, float(active == state)) for state in STATES]
    return [Family("node_systemd_unit_state", "1 for the state that the unit is in.", samples)]


def tell(name: str, problem: Exception) -> None:
    """For the journal."""
    sys.stderr.write(f"{name}: {problem}\n")


def output(*argv: str) -> str:
    """What a command prints; it fails with the command's own words."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise Failed(str(exc)) from exc
    if done.returncode != 0:
        raise Failed(f"{' '.join(argv)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def rendered(families: Iterable[Family]) -> str:
    """The families in Prometheus' text format; those without samples are left out."""
    lines = []
    for name, words, samples in families:
        if samples:
            lines += [f"# HELP {name} {words}", f"# TYPE {name} gauge"]
        for labels, value in samples:
            inner = ",".join(f'{key}="{escaped(text)}"' for key, text in labels.items())
            lines.append(f"{name}{{{inner}}} {value:.17g}" if inner else f"{name} {value:.17g}")
    return "".join(f"{line}\n" for line in lines)


def escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def put(path: Path, text: str) -> None:
    """Nobody reads a half of it. What is to hold nothing is not there."""
    if not text:
        path.unlink(missing_ok=True)
        return
    beside = path.with_suffix(".part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


COLLECTORS: dict[str, Callable[[Place], list[Family]]] = {
    one.__name__: one for one in (pi, wear, clock, tailnet, certificates, units)
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("collectors", nargs="+", choices=list(COLLECTORS))
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--sys", type=Path, default=Path("/sys"))
    parser.add_argument("--certificate", type=Path, action="append", default=[])
    asked = parser.parse_args()
    place, failed = Place(asked.sys, asked.certificate), False
    for name in COLLECTORS:
        try:
            text = rendered(COLLECTORS[name](place)) if name in asked.collectors else ""
        except (Failed, OSError, ValueError, KeyError) as exc:
            tell(name, exc)
            text, failed = "", True
        put(asked.into / f"cerebrum_{name}.prom", text)
    sys.exit(failed)


if __name__ == "__main__":
    main()
