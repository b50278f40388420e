"""When a lab tells the kernel to run another architecture's programs, and when it leaves what is there alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.playbooks import plugin

BINFMT = plugin("roles/lab_host/module_utils/lab_binfmt.py")
# As the kernel shows what Debian's qemu-user-static registers.
DEBIAN = """enabled
interpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P
flags: POF
offset 0
magic 7f454c460201010000000000000000000200b700
mask ffffffffffffff00fffffffffffffffffeffffff
"""
PYTHON = "enabled\ninterpreter /usr/bin/python3.11\nflags: \noffset 0\nmagic a70d0d0a\n"
JAVA = "enabled\ninterpreter /usr/bin/jexec\nflags: \nextension .jar\n"


def objection(machine: str, **texts: str) -> str | None:
    found: str | None = BINFMT.objection([BINFMT.parse(name, text) for name, text in texts.items()], machine)
    return found


def test_debians_entry_is_as_hosts_need_it_under_any_name() -> None:
    assert objection("aarch64", python=PYTHON, jar=JAVA, somebodys=DEBIAN) is None


def test_nothing_is_registered_where_others_are() -> None:
    assert objection("aarch64", python=PYTHON, jar=JAVA) == ""
    assert objection("x86_64", arm=DEBIAN) == ""


@pytest.mark.parametrize(
    ("old", "new", "word"), [("POF", "PO", "flags PO, without F"), ("enabled", "disabled", "is off")]
)
def test_what_others_registered_otherwise_is_named_with_what_to_do(old: str, new: str, word: str) -> None:
    said = objection("aarch64", arm=DEBIAN.replace(old, new, 1)) or ""
    for part in (word, "/usr/libexec/qemu-binfmt/aarch64-binfmt-P", "echo -1 > /proc/sys/fs/binfmt_misc/arm"):
        assert part in said


def test_one_good_entry_is_enough() -> None:
    assert objection("aarch64", bad=DEBIAN.replace("POF", ""), good=DEBIAN) is None


@given(magic=st.binary(max_size=30), offset=st.integers(0, 40), mask=st.none() | st.just(b"\x00"))
def test_an_entry_handles_what_its_magic_says(magic: bytes, offset: int, mask: bytes | None) -> None:
    text = f"enabled\nflags: F\noffset {offset}\nmagic {magic.hex()}\n"
    if mask is not None:
        text += f"mask {(mask * len(magic)).hex()}\n"
    header = BINFMT.HEADERS["aarch64"]
    entry = BINFMT.parse("one", text)
    fits = bool(magic) and offset + len(magic) <= len(header)
    assert entry.handles(header) == (fits and (mask is not None or header[offset : offset + len(magic)] == magic))
    assert BINFMT.parse("same", f"enabled\noffset 0\nmagic {header.hex()}\n").handles(header)
