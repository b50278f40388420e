"""Files and folders of a role, looked at and put right in one round trip. What is to be done is decided by itself."""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: file_set
short_description: Files and folders are as they are wanted
description:
  - Small text files and folders, in the order in which they are named. One call takes as long as writing one of them.
  - With C(--check) it says what would change, on a host that has none of the folders, users and groups yet too.
options:
  entries:
    description:
      - Each has a C(path) and a C(state) of C(file), C(directory) or C(absent). A file has C(content); both have
        C(owner), C(group) and C(mode). C(validate) is a command that sees the new file, as %s, before it takes its
        place; it is not asked in check mode. With C(keep), a file that is there keeps its content.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = """
- name: Settings are there
  file_set:
    entries:
      - {path: /etc/thing, state: directory, mode: "0755"}
      - {path: /etc/thing/thing.conf, content: "a = 1", mode: "0644"}
"""

RETURN = """
changed_paths:
  description: What was not as it was wanted.
  type: list
  returned: always
"""


NOT_YET = -1  # a user or a group that the host is going to have


class Found(NamedTuple):
    """What is at a path: a kind of ``file``, ``directory``, ``other`` or ``absent``, and the rest where it has it."""

    kind: str = "absent"
    owner: int = -1
    group: int = -1
    mode: int = -1
    content: bytes = b""


def steps(entry: dict[str, Any], found: Found, owner: int, group: int) -> list[str]:
    """What is to be done, in this order; see NOT_YET for owners and groups."""
    state = entry["state"]
    if state == "absent":
        return [] if found.kind == "absent" else ["remove"]
    todo = []
    if found.kind != state:
        # A folder is never replaced by a file, nor a file by a folder: whoever put it there may need it.
        if found.kind != "absent" and (state == "directory" or found.kind == "directory"):
            return ["refuse"]
        todo = ["make"] if state == "directory" else ["write"]
    elif state == "file" and not entry["keep"] and found.content != entry["content"].encode():
        todo = ["write"]
    if todo or (found.owner, found.group) != (owner, group):
        todo.append("owner")
    if todo or found.mode != int(entry["mode"], 8):  # behind the owner, whose change takes some bits away
        todo.append("mode")
    return todo


def look(path: Path, state: str) -> Found:
    try:
        # A folder may be reached by a link; a file that is a link is replaced by a file.
        status = path.stat() if state == "directory" else path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return Found("other") if path.is_symlink() else Found()
    kind = "directory" if stat.S_ISDIR(status.st_mode) else "file" if stat.S_ISREG(status.st_mode) else "other"
    content = path.read_bytes() if kind == "file" else b""
    return Found(kind, status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode), content)


def make(path: Path) -> None:
    """A folder that nobody else can look into yet, and folders above it that everybody can, whatever the umask."""
    for parent in reversed(path.parents):
        if not parent.exists():
            parent.mkdir()
            parent.chmod(0o755)
    path.mkdir(0o700)


class Doer:
    """Takes the steps on the host."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module

    def number(self, entry: dict[str, Any], what: str) -> int:
        try:
            if what == "owner":
                return pwd.getpwnam(entry["owner"]).pw_uid
            return grp.getgrnam(entry["group"]).gr_gid
        except KeyError:
            if not self._module.check_mode and entry["state"] != "absent":
                self._module.fail_json(msg=f"{entry['path']}: this host has no {what} {entry[what]}")
            return NOT_YET  # comes before it, in a run that is not a check

    def settle(self, entry: dict[str, Any]) -> tuple[list[str], Found]:
        path = Path(entry["path"])
        found = look(path, entry["state"])
        owner, group = self.number(entry, "owner"), self.number(entry, "group")
        todo = steps(entry, found, owner, group)
        if todo == ["refuse"]:
            self._module.fail_json(msg=f"{path} is no {entry['state']} and was left alone; move it away")
        if not self._module.check_mode:
            if "remove" in todo:
                shutil.rmtree(path) if found.kind == "directory" else path.unlink()
            if "make" in todo:
                make(path)
            if "write" in todo:
                self._write(entry, path)
            if "owner" in todo:
                os.chown(path, owner, group)
            if "mode" in todo:
                path.chmod(int(entry["mode"], 8))
        return todo, found

    def _write(self, entry: dict[str, Any], path: Path) -> None:
        """Beside its place and then into it: nobody reads a half, and who may not read it cannot."""
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".file_set.")
        written = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(entry["content"].encode())
                file.flush()
                os.fsync(file.fileno())
            if entry["validate"]:
                command = [word.replace("%s", name) for word in shlex.split(entry["validate"])]
                code, out, err = self._module.run_command(command)
                if code != 0:
                    self._module.fail_json(msg=f"{path} was not written, it is not valid: {(err or out).strip()}")
            os.chown(name, self.number(entry, "owner"), self.number(entry, "group"))
            written.chmod(int(entry["mode"], 8))
            written.rename(path)
        finally:
            written.unlink(missing_ok=True)


def difference(entry: dict[str, Any], todo: list[str], found: Found) -> dict[str, Any]:
    """For ``--diff``: texts where a text changes, else a word."""
    path = entry["path"]
    if "write" in todo or (todo == ["remove"] and found.kind == "file"):
        before, after = found.content.decode(errors="replace"), entry["content"] if "write" in todo else ""
        return {"before_header": path, "after_header": path, "before": before, "after": after}
    return {"prepared": f"{path}: {', '.join(todo)}\n"}


def main() -> None:
    options = {
        "path": {"type": "path", "required": True},
        "state": {"type": "str", "default": "file", "choices": ["file", "directory", "absent"]},
        "content": {"type": "str"},
        "owner": {"type": "str", "default": "root"},
        "group": {"type": "str", "default": "root"},
        "mode": {"type": "str"},
        "validate": {"type": "str", "default": ""},
        "keep": {"type": "bool", "default": False},
    }
    conditions = [("state", "file", ["content", "mode"]), ("state", "directory", ["mode"])]
    entries = {"type": "list", "elements": "dict", "required": True, "options": options, "required_if": conditions}
    module = AnsibleModule({"entries": entries}, supports_check_mode=True)
    doer, changed, diffs = Doer(module), [], []
    for entry in module.params["entries"]:
        todo, found = doer.settle(entry)
        if todo:
            changed.append(entry["path"])
            diffs.append(difference(entry, todo, found))
    module.exit_json(changed=bool(changed), changed_paths=changed, diff=diffs)


if __name__ == "__main__":
    main()
