"""An inventory's files, from the answers. The example inventory is written out of the same templates."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import jinja2
import yaml

from scripts.inventory.answers import Answers, Host

VAULT = "group_vars/all/vault.yml"
PATHS = ("hosts.yml", "group_vars/all/vars.yml", "group_vars/edge.yml", "group_vars/inference.yml", VAULT)
EXAMPLE = Answers(
    "example",
    (Host("pi", "pi", "192.168.1.20"),),
    (Host("vps", "root", "203.0.113.7"),),
    edge_open=True,
)


def files(site: Answers, *, key_line: str = "", secrets: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a new inventory holds, by path; the vault's text is still plain.

    Args:
        key_line: the line of `edge_api_keys` that admits the key which was made.
        secrets: `tailscale_auth_key`, `models_hf_token` and `edge_client_key`, where there are any.
    """
    values = {"site": site, "key_line": key_line, "secrets": secrets or {}, "marks": False}
    return {path: _render(path, values) for path in PATHS}


def example() -> dict[str, str]:
    """inventories/example: the same with marks where a person who copies it has to write something, and no vault."""
    values = {"site": EXAMPLE, "secrets": {}, "marks": True}
    return {path: _render(path, values) for path in PATHS if path != VAULT}


def scalar(value: str) -> str:
    """A text as YAML writes it: bare where it is read back as the same text, else in quotes."""
    bare = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/:+-]*", value) and not value.endswith(":")
    return value if bare and yaml.safe_load(value) == value else json.dumps(value)


def _render(path: str, values: Mapping[str, object]) -> str:
    return _environment().get_template(f"{path}.j2").render(values)


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=False,  # noqa: S701 (YAML, no HTML)
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=False,
        keep_trailing_newline=True,
    )
    environment.filters |= {"scalar": scalar, "tojson": json.dumps}
    return environment
