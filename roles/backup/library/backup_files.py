#!/usr/bin/python
"""Small files of a host, read with their modes, or written whole: each takes its place by a rename."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: backup_files
short_description: Reads or writes small files of a host
options:
  state:
    description: C(read) gives the files that patterns find, C(written) brings back C(files).
    type: str
    choices: [read, written]
    required: true
  patterns: {description: Paths, with * and ? in their last part, type: list, elements: str, default: []}
  files: {description: 'Rows of path, mode and content (base64)', type: list, elements: dict, default: []}
author: The Cerebrum authors
"""
EXAMPLES = r"""
- backup_files: {state: read, patterns: [/etc/cerebrum/edge/keys/*]}
"""
RETURN = r"""
files: {description: 'Path, mode, sha256, content (base64)', type: list, elements: dict, returned: state is read}
"""


def read(patterns: list[str]) -> list[dict[str, Any]]:
    found = []
    for pattern in patterns:
        for path in sorted(Path(pattern).parent.glob(Path(pattern).name)):
            if path.is_file() and not path.is_symlink():
                data = path.read_bytes()
                found.append(
                    {
                        "path": str(path),
                        "mode": f"{path.stat().st_mode & 0o777:04o}",
                        "sha256": hashlib.sha256(data).hexdigest(),
                        "content": base64.b64encode(data).decode(),
                    }
                )
    return found


def write(row: dict[str, Any], check: bool) -> bool:
    path, data, mode = Path(row["path"]), base64.b64decode(row["content"]), int(row["mode"], 8)
    if path.is_file() and path.read_bytes() == data:
        return False
    if check:
        return True
    # The role that owns the folder gives it to its service afterwards; until then it is root's alone.
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f"{path.name}.part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123 (Path.open takes no mode of creation)
        os.fchown(file.fileno(), 0, 0)
        os.fchmod(file.fileno(), mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    return True


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["read", "written"], "required": True},
            "patterns": {"type": "list", "elements": "str", "default": []},
            "files": {"type": "list", "elements": "dict", "default": [], "no_log": True},
        },
        supports_check_mode=True,
    )
    asked = module.params
    if asked["state"] == "read":
        module.exit_json(changed=False, files=read(asked["patterns"]))
    changed = False
    for row in asked["files"]:
        changed |= write(row, module.check_mode)
    module.exit_json(changed=changed)


if __name__ == "__main__":
    main()
