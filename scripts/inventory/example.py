"""Writes inventories/example out of the templates that new inventories come from.

usage: python -m scripts.inventory.example [--check]     with --check: only says whether it is current
"""

from __future__ import annotations

import sys
from pathlib import Path

from scripts.inventory import text

FOLDER = Path(__file__).resolve().parents[2] / "inventories/example"


def main() -> None:
    wanted = text.example()
    found = {
        str(path.relative_to(FOLDER)): path.read_text(encoding="utf-8") for path in FOLDER.rglob("*") if path.is_file()
    }
    stale = sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))
    if "--check" in sys.argv[1:]:
        if stale:
            sys.exit(f"not current: {', '.join(f'inventories/example/{name}' for name in stale)}; run `make docs`")
        return
    for name in stale:
        if name in wanted:
            (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
            (FOLDER / name).write_text(wanted[name], encoding="utf-8")
        else:
            (FOLDER / name).unlink()


if __name__ == "__main__":
    main()
