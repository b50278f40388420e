"""Writes every role's README from its argument_specs, so that the two cannot tell different things.

usage: role_readmes.py [--check]     with --check: writes nothing, exit code 1 where a README is not current
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).resolve().parent.parent / "roles"


def plain(text: str) -> str:
    """Ansible's markup as Markdown."""
    return " ".join(re.sub(r"\b[CO]\(([^)]*)\)", r"`\1`", text).split())


def default(option: dict[str, Any]) -> str:
    value = option.get("default")
    if value is None:
        return ""
    shown = yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("...\n").strip()
    return f"`{shown}`"


def readme(role: str, spec: dict[str, Any]) -> str:
    description = spec["description"]
    paragraphs = [description] if isinstance(description, str) else description
    lines = [f"# {role}", "", f"{spec['short_description']}.", ""]
    for paragraph in paragraphs:
        lines += [plain(paragraph), ""]
    lines += ["| variable | type | default | what it is |", "|---|---|---|---|"]
    for name, option in spec["options"].items():
        kind = option["type"] + (f" of {option['elements']}" if "elements" in option else "")
        text = option["description"] if isinstance(option["description"], str) else " ".join(option["description"])
        choices = f" One of {', '.join(f'`{one}`' for one in option['choices'] if one)}." if "choices" in option else ""
        lines.append(f"| `{name}` | {kind} | {default(option)} | {plain(text)}{choices} |")
    lines += ["", "Written by `scripts/role_readmes.py` from `meta/argument_specs.yml`.", ""]
    return "\n".join(lines)


def main() -> None:
    check, stale = "--check" in sys.argv[1:], []
    for file in sorted(ROLES.glob("*/meta/argument_specs.yml")):
        role = file.parent.parent.name
        text = readme(role, yaml.safe_load(file.read_text(encoding="utf-8"))["argument_specs"]["main"])
        path = ROLES / role / "README.md"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(str(path.relative_to(ROLES.parent)))
            if not check:
                path.write_text(text, encoding="utf-8")
    if check and stale:
        sys.exit(f"not current: {', '.join(stale)}; run `make docs`")


if __name__ == "__main__":
    main()
