"""Writes the files that come from the tables, or compares them, or writes other ones: own thresholds, shorter times."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Mapping
from pathlib import Path

from monitoring.files import RULES, committed, others
from monitoring.thresholds import known

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    args = _arguments()
    if args.out is not None:
        _write(args.out, others(args.scale or 1, dict(args.set)))
        return 0
    wanted = committed()
    left = [path for path in (ROOT / RULES).glob("*.yml") if str(path.relative_to(ROOT)) not in wanted]
    if args.check:
        return _compare(wanted, left)
    _write(ROOT, wanted)
    for path in left:
        path.unlink()
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m monitoring", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a committed file differs")
    parser.add_argument(
        "--out", type=Path, help="the folder to write rules/ and tree.yml to, in place of the repository"
    )
    parser.add_argument("--scale", type=float, help="with --out: what times are multiplied by, as 0.1")
    parser.add_argument(
        "--set", type=_number, action="append", default=[], metavar="NAME=NUMBER", help="with --out: a threshold"
    )
    args = parser.parse_args()
    if (args.out is None and (args.scale is not None or args.set)) or (args.check and args.out is not None):
        parser.error("--scale and --set want --out, and --check stands alone")
    if args.scale is not None and not 0 < args.scale <= 1:
        parser.error(f"--scale {args.scale:g}: wanted is a number above 0 and up to 1")
    return args


def _number(word: str) -> tuple[str, float]:
    name, _, number = word.partition("=")
    try:
        return known(name), float(number)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{word!r}: wanted is NAME=NUMBER. {exc}") from exc


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _compare(wanted: Mapping[str, str], left: list[Path]) -> int:
    found = {name: _read(ROOT / name) for name in wanted} | {str(path.relative_to(ROOT)): _read(path) for path in left}
    differences = [
        line
        for name, text in found.items()
        for line in difflib.unified_diff(
            text.splitlines(keepends=True),
            wanted.get(name, "").splitlines(keepends=True),
            name,
            "as the tables have it",
        )
    ]
    if differences:
        sys.stderr.writelines(differences)
        sys.stderr.write("monitoring: these files are not what the tables say: run `make monitoring`\n")
    return 1 if differences else 0


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
