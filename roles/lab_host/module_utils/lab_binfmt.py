"""Whether the kernel runs another architecture's programs in every host, read from what binfmt_misc says of itself."""

from __future__ import annotations

from typing import NamedTuple

# How a program of the architecture begins: 64-bit, little-endian, an executable, e_machine.
HEADERS = {
    machine: b"\x7fELF\x02\x01\x01" + bytes(9) + (2).to_bytes(2, "little") + number.to_bytes(2, "little")
    for machine, number in {"aarch64": 0xB7, "x86_64": 0x3E}.items()
}


class Entry(NamedTuple):
    """A file of binfmt_misc: which files it takes, and who runs them."""

    name: str
    enabled: bool
    interpreter: str
    flags: str
    takes: tuple[int, bytes, bytes]  # offset, magic, mask; no magic where it goes by the file's extension

    def handles(self, header: bytes) -> bool:
        offset, magic, mask = self.takes
        part = header[offset : offset + len(magic)]
        if not magic or len(part) < len(magic):
            return False
        return all(one & bits == wanted & bits for one, wanted, bits in zip(part, magic, mask, strict=True))


def parse(name: str, text: str) -> Entry:
    rows = dict(line.strip().partition(" ")[::2] for line in text.splitlines() if line.strip())
    magic = bytes.fromhex(rows.get("magic", ""))
    mask = bytes.fromhex(rows["mask"]) if "mask" in rows else b"\xff" * len(magic)
    return Entry(
        name=name,
        enabled="enabled" in rows,
        interpreter=rows.get("interpreter", ""),
        flags=rows.get("flags:", ""),
        takes=(int(rows.get("offset", "0")), magic, mask),
    )


def objection(entries: list[Entry], machine: str) -> str | None:
    """Why hosts of that machine would not run with what is registered: None if they do, "" if nothing is registered."""
    found = [entry for entry in entries if entry.handles(HEADERS[machine])]
    for entry in found:
        if entry.enabled and "F" in entry.flags:
            return None
    if not found:
        return ""
    entry = found[0]
    fault = "is off" if not entry.enabled else f"has flags {entry.flags or 'none'}, without F"
    return (
        f"binfmt_misc runs {machine} programs by {entry.interpreter}, and that entry ({entry.name}) {fault}: hosts, "
        "which do not have the interpreter in their own files, would not run. It is not the lab's and was left alone. "
        f"Take it out (echo -1 > /proc/sys/fs/binfmt_misc/{entry.name}), and the lab registers Debian's for its time."
    )
