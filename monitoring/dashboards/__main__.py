"""Writes the dashboards into role grafana; with `--check`, says whether they are as they would be written.

usage: python -m monitoring.dashboards [--check]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from monitoring.dashboards import dashboards

FOLDER = Path(__file__).resolve().parents[2] / "roles" / "grafana" / "files" / "dashboards"


def main(words: list[str]) -> int:
    if words not in ([], ["--check"]):
        sys.stderr.write(f"cerebrum: dashboards are written with no word, or looked at with --check; not {words}\n")
        return 2
    texts = {name: json.dumps(board, indent=2, ensure_ascii=False) + "\n" for name, board in dashboards().items()}
    there = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    stale = sorted(name for name in texts.keys() | there.keys() if texts.get(name) != there.get(name))
    if words:
        for name in stale:
            sys.stderr.write(f"cerebrum: {FOLDER.name}/{name} is not what monitoring/dashboards writes\n")
        if stale:
            sys.stderr.write("cerebrum: write them with: python -m monitoring.dashboards\n")
        return 1 if stale else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in stale:
        if name in texts:
            (FOLDER / name).write_text(texts[name], encoding="utf-8")
        else:
            (FOLDER / name).unlink()  # a board that is no more
    sys.stdout.write(f"{len(texts)} dashboards, {len(stale)} changed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
