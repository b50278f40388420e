"""Names that no role reads, and what was meant. Decides only: nothing here asks a host."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

# How much a name must be like a known one to be taken for it: with a role's prefix, and without.
LIKE, VERY_LIKE = 0.7, 0.85


def unknown(names: Iterable[str], known: Collection[str], prefixes: Collection[str]) -> list[str]:
    """The names that somebody misspelt, each with what was meant, as words for a message.

    A name is one of ours if it begins as a role is called. Others may be anybody's own, but for those that are almost a
    name of ours (`inferance_models`); one with a whole name of ours in it (`vault_models_hf_token`) was not misspelt.
    """
    ours = re.compile(rf"({'|'.join(map(re.escape, sorted(prefixes)))})_[^_]")
    found = []
    for name in sorted(set(names) - set(known)):
        if ours.match(name):
            near = get_close_matches(name, known, n=1, cutoff=LIKE)
            found.append(f"{name} (did you mean {near[0]}?)" if near else f"{name} ({_alike(name, known, prefixes)})")
        elif "__" not in name and not any(one in name for one in known):
            near = get_close_matches(name.lower(), known, n=1, cutoff=VERY_LIKE)
            found += [f"{name} (did you mean {near[0]}?)"] if near else []
    return found


def _alike(name: str, known: Collection[str], prefixes: Collection[str]) -> str:
    """The names with the same role's prefix."""
    mine = max((one for one in prefixes if name.startswith(f"{one}_")), key=len)
    return f"there are {', '.join(sorted(one for one in known if one.startswith(f'{mine}_'))) or 'none of this kind'}"


def texts_for_lists(options: Mapping[str, Mapping[str, Any]], values: Mapping[str, Any]) -> list[str]:
    """Lists that were given as a text, which Ansible takes: in sentences; nothing if there are none."""
    found = []
    for name, value in sorted(values.items()):
        if name not in options or options[name]["type"] != "list" or not isinstance(value, str):
            continue
        if options[name].get("elements") == "dict":
            found.append(f"{name} is a text, which is not shown, since entries may hold keys; write a list of entries.")
        else:
            found.append(
                f"{name} is {value!r}, a text; write a list, as [{', '.join(value.split(',')) if value else ''}]."
            )
    return found


def shared_ports(rows: Iterable[tuple[str, Any]]) -> list[str]:
    """What of a host's variables and their ports names a port that another has named: a sentence for each such port."""
    of_port: dict[int, list[str]] = {}
    for name, port in rows:
        if str(port).isdigit():  # another rule says what is wrong with the rest
            of_port.setdefault(int(port), []).append(name)
    return [f"{' and '.join(names)} are {port}." for port, names in sorted(of_port.items()) if len(names) > 1]


class FilterModule:
    """Ansible finds the filters by this name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "preflight_unknown": unknown,
            "preflight_texts_for_lists": texts_for_lists,
            "preflight_shared_ports": shared_ports,
        }
