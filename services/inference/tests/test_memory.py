"""What a control group leaves of the machine's memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from cerebrum_inference import memory

GIB = 1 << 30


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path / "groups")
    monkeypatch.setattr(memory, "_MEMBERSHIP", tmp_path / "membership")
    return tmp_path / "groups"


def group(path: Path, limit: str, used: int, cache: int, *, version: int = 2) -> None:
    path.mkdir(parents=True, exist_ok=True)
    names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    stat = f"anon 1\ninactive_file {cache}\n" + (f"total_inactive_file {cache}\n" if version == 1 else "")
    for name, text in zip((*names, "memory.stat"), (limit, str(used), stat), strict=True):
        (path / name).write_text(text.strip() + "\n")


def belongs(groups: Path, *lines: str) -> None:
    (groups.parent / "membership").write_text("".join(f"{line}\n" for line in lines))


def test_every_group_up_to_the_root_counts(groups: Path) -> None:
    group(groups / "system.slice" / "cerebrum.service", str(4 * GIB), GIB, GIB // 2)
    group(groups / "system.slice", str(3 * GIB), 2 * GIB, 0)
    groups.joinpath("cgroup.procs").touch()
    belongs(groups, "0::/system.slice/cerebrum.service")
    assert memory._limits() == [4 * GIB - GIB + GIB // 2, GIB]


def test_a_group_without_a_limit_says_nothing(groups: Path) -> None:
    group(groups / "a", "max", GIB, 0)
    belongs(groups, "0::/a")
    assert memory._limits() == []


def test_version_one(groups: Path) -> None:
    group(groups / "memory" / "a", str(2 * GIB), GIB, 100, version=1)
    group(groups / "memory", str(0x7FFFFFFFFFFFF000), GIB, 100, version=1)
    belongs(groups, "5:cpu,cpuacct:/x", "4:memory:/a", "0::/unified")
    assert memory._limits() == [GIB + 100]


def test_a_group_that_is_not_visible_from_here(groups: Path) -> None:
    group(groups, str(2 * GIB), GIB, 0)
    belongs(groups, "0::/not/mounted/here")
    assert memory._limits() == [GIB], "a container sees its own group as the root"


def test_more_used_than_allowed_leaves_nothing(groups: Path) -> None:
    group(groups / "a", str(GIB), 2 * GIB, 0)
    belongs(groups, "0::/a")
    assert memory._limits() == [0]
    assert memory.available_memory() == 0


def test_this_machine() -> None:
    assert memory.available_memory() > 0
    assert memory.resident_anonymous() > 1 << 20
