"""YAML as the committed files have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

_WIDTH = 120


class _Dumper(yaml.SafeDumper):
    """Lists are indented as Ansible's linter wants them, and expressions of several lines stay readable."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def document(value: Mapping[str, Any], says: str) -> str:
    """A YAML document with a head that tells where it comes from."""
    body = yaml.dump(dict(value), Dumper=_Dumper, sort_keys=False, width=_WIDTH, allow_unicode=True)
    return f"# {says}\n# Written by `make monitoring` from monitoring/; changes belong there.\n---\n{body}"
