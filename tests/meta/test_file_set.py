"""Module file_set: what it decides, and what it does to files of this machine."""

from __future__ import annotations

import getpass
import grp
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.playbooks import plugin
from support.repo import ROOT

module = plugin("plugins/modules/file_set.py")

ENTRIES = st.fixed_dictionaries(
    {
        "path": st.just("/etc/thing"),
        "state": st.sampled_from(["file", "directory", "absent"]),
        "content": st.sampled_from(["", "a\n", "ä\n"]),
        "mode": st.sampled_from(["0600", "0644", "1775"]),
        "keep": st.booleans(),
    }
)
FOUND = st.one_of(
    st.just(module.Found()),
    st.builds(
        module.Found,
        kind=st.sampled_from(["file", "directory", "other"]),
        owner=st.integers(0, 2),
        group=st.integers(0, 2),
        mode=st.sampled_from([0o600, 0o644, 0o1775]),
        content=st.sampled_from([b"", b"a\n", b"\xc3\xa4\n", b"\xff"]),
    ),
)
IDS = st.integers(module.NOT_YET, 2)


def after(entry: dict[str, Any], found: Any, todo: list[str], owner: int, group: int) -> Any:
    """The steps, taken on what was found."""
    if "remove" in todo:
        return module.Found()
    if "make" in todo or "write" in todo:
        content = entry["content"].encode() if "write" in todo else b""
        found = module.Found("directory" if "make" in todo else "file", 0, 0, 0o600, content)
    if "mode" in todo:
        found = found._replace(mode=int(entry["mode"], 8))
    return found._replace(owner=owner, group=group) if "owner" in todo else found


@given(ENTRIES, FOUND, IDS, IDS)
def test_what_was_settled_is_settled(entry: dict[str, Any], found: Any, owner: int, group: int) -> None:
    """Once the steps are taken there is nothing left to do, and the path is what was asked for."""
    todo = module.steps(entry, found, owner, group)
    if todo == ["refuse"]:
        assert found.kind not in {"absent", entry["state"]}
        return
    settled = after(entry, found, todo, owner, group)
    assert settled.kind == entry["state"]
    assert module.steps(entry, settled, owner, group) == []
    if entry["state"] == "file" and not (entry["keep"] and found.kind == "file"):
        assert settled.content == entry["content"].encode()


@given(ENTRIES, FOUND, IDS, IDS)
def test_a_file_and_a_folder_never_take_each_other_s_place(
    entry: dict[str, Any], found: Any, owner: int, group: int
) -> None:
    if {entry["state"], found.kind} == {"file", "directory"}:
        assert module.steps(entry, found, owner, group) == ["refuse"]


def run(entries: list[dict[str, Any]], check: bool = False) -> dict[str, Any]:
    """The module as Ansible calls it, without Ansible: its arguments come by standard input."""
    own = {"owner": getpass.getuser(), "group": grp.getgrgid(os.getgid()).gr_name}
    words = {"entries": [own | entry for entry in entries], "_ansible_check_mode": check, "_ansible_diff": True}
    done = subprocess.run(
        [sys.executable, str(ROOT / "plugins/modules/file_set.py")],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": words}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def wanted(folder: Path) -> list[dict[str, Any]]:
    return [
        {"path": str(folder / "thing"), "state": "directory", "mode": "0750"},
        {"path": str(folder / "thing/conf"), "content": "a = 1\n", "mode": "0640"},
        {"path": str(folder / "old"), "state": "absent"},
    ]


def test_files_and_folders_are_made_once(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old/file").touch()
    first = run(wanted(tmp_path))
    assert first["changed_paths"] == [str(tmp_path / name) for name in ("thing", "thing/conf", "old")], first
    assert (tmp_path / "thing/conf").read_text() == "a = 1\n"
    assert [(tmp_path / name).stat().st_mode & 0o7777 for name in ("thing", "thing/conf")] == [0o750, 0o640]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["conf", "thing"]
    assert run(wanted(tmp_path))["changed"] is False


@pytest.mark.parametrize("spoil", ["content", "mode", "link"])
def test_what_drifted_comes_back(tmp_path: Path, spoil: str) -> None:
    run(wanted(tmp_path))
    conf = tmp_path / "thing/conf"
    if spoil == "content":
        conf.write_text("a = 2\n")
    elif spoil == "mode":
        conf.chmod(0o666)
    else:
        conf.rename(tmp_path / "elsewhere")
        conf.symlink_to(tmp_path / "elsewhere")
    assert run(wanted(tmp_path))["changed_paths"] == [str(conf)]
    assert not conf.is_symlink()
    assert (conf.read_text(), conf.stat().st_mode & 0o7777) == ("a = 1\n", 0o640)


def test_a_check_on_a_virgin_host_tells_everything_and_does_nothing(tmp_path: Path) -> None:
    virgin = [entry | {"group": "cerebrum-nobody-has-it"} for entry in wanted(tmp_path)]
    told = run(virgin, check=True)
    assert told["changed_paths"] == [str(tmp_path / "thing"), str(tmp_path / "thing/conf")], told
    assert told["diff"][1]["after"] == "a = 1\n"
    assert list(tmp_path.iterdir()) == []
    assert "this host has no group cerebrum-nobody-has-it" in run(virgin)["msg"]


def test_a_file_that_is_not_valid_does_not_take_its_place(tmp_path: Path) -> None:
    entry = {"path": str(tmp_path / "conf"), "content": "new\n", "mode": "0644", "validate": "grep -q old %s"}
    (tmp_path / "conf").write_text("old\n")
    answer = run([entry])
    assert answer["failed"]
    assert "conf was not written, it is not valid" in answer["msg"]
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old\n"]
    assert run([entry | {"content": "old\nnew\n"}])["changed"]


def test_what_is_to_be_kept_is_kept(tmp_path: Path) -> None:
    entry = {"path": str(tmp_path / "conf"), "content": "first\n", "mode": "0644", "keep": True}
    assert run([entry])["changed"]
    (tmp_path / "conf").write_text("since then\n")
    assert run([entry])["changed"] is False
    assert (tmp_path / "conf").read_text() == "since then\n"


def test_a_folder_in_a_file_s_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    answer = run([{"path": str(tmp_path / "conf"), "content": "", "mode": "0644"}])
    assert "is no file and was left alone" in answer["msg"]
    assert (tmp_path / "conf").is_dir()
