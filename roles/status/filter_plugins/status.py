"""The table that `playbooks/status.yml` prints, from what the hosts said: text in, text out.

What cannot be told is a question mark, what does not apply is a dash, and what is wrong is told below the table.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

WIDTH = 92  # what Ansible's indentation leaves of a terminal of 100 columns
_HEAD = ["host", "service", "release", "breaker", "slots", "model", "transport", "key"]
_RELEASE, _MODEL = 2, 5
_SHORTEST = {0: 8, _RELEASE: 12, _MODEL: 8}
_WAYS = {"ssh_tunnel": "tunnel", "tailscale": "tailnet", "direct": "direct"}
_UNIT = {"failed": "failed", "activating": "starting", "deactivating": "stopping", "inactive": "stopped"}


def age(seconds: float) -> str:
    """An age as a person says it, in one unit."""
    for size, unit in ((86400, "d"), (3600, "h")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "new" if seconds >= 0 else "future"


def table(hosts: dict[str, dict[str, Any]], width: int = WIDTH) -> str:
    """The whole system in a table, with remarks below it.

    Args:
        hosts: for each, `groups`, `transport`, and `found`, which is the outcome of its survey.
    """
    edges = [host for host, row in hosts.items() if "edge" in row["groups"]]
    lines: list[list[str] | tuple[str, str, str]] = []
    remarks: list[str] = []
    for service in ("edge", "inference"):
        for host in sorted(one for one, row in hosts.items() if service in row["groups"]):
            found = hosts[host]["found"]
            if not found["facts"]:
                what = {"reach": "cannot be reached", "sudo": "does not let Ansible become root"}
                lines.append((host, service, f"{what.get(found['kind'], 'cannot be asked')}: {found['problem']}"))
                continue
            one = found["facts"]["services"][service]
            release = one["instance"] or _stopped(one)
            cells = ["-"] * 5 if service == "edge" else _pair(host, hosts, edges, remarks)
            lines.append([host, service, release, *cells])
            remarks += [f"{host}: {service} {text}" for text in _remarks(one)]
    for host in sorted(hosts):
        remarks += [
            f"{host}: monitoring {text}" for text in _watching(hosts[host]["found"]["facts"].get("monitoring") or {})
        ]
    return "\n".join(_drawn(lines, width) + [piece for text in remarks for piece in _wrapped(text, width)])


def _stopped(service: dict[str, Any]) -> str:
    """What stands where the release would, when none runs."""
    if not service["units"]:
        return "not deployed" if not service["socket"]["file"] else "no instance"
    order = ["failed", "activating", "deactivating", "inactive"]
    states = [unit.get("ActiveState", "inactive") for unit in service["units"]]
    return next((_UNIT[state] for state in order if state in states), str(states[0]))


def _remarks(service: dict[str, Any]) -> list[str]:
    said = []
    active = [unit for unit in service["units"] if unit.get("ActiveState") == "active"]
    said += [f"says: {unit['StatusText']}" for unit in active if unit.get("StatusText") not in ("ready", "", None)]
    if len(active) > 1:
        said.append(f"has {len(active)} instances that run: {', '.join(unit['Id'] for unit in active)}")
    answers = service.get("answers", {})
    health = answers.get("health", {})
    if active and "answer" not in health:
        said.append(f"does not answer: {health.get('problem', 'nothing listens')}")
    if answers.get("stats", {}).get("status") == 401:
        said.append("admits clients with keys only, so its breakers are not known: set CEREBRUM_API_KEY_FILE")
    return said


def _watching(found: dict[str, Any]) -> list[str]:
    """What Prometheus says, where the host watches; nothing where all is well."""
    if "problem" in found:
        return [f"does not answer: {found['problem']}"]
    said = [f"gets no answer of {', '.join(found['down'])}"] if found.get("down") else []
    return said + ([f"alerts: {', '.join(found['firing'])}"] if found.get("firing") else [])


def _pair(host: str, hosts: dict[str, Any], edges: list[str], remarks: list[str]) -> list[str]:
    """Breaker, slots, model, transport and key of an inference host, most of them as its edges see them."""
    seen = {edge: hosts[edge]["found"]["facts"] for edge in edges if hosts[edge]["found"]["facts"]}
    asked = [facts["backends"][host] for facts in seen.values() if host in facts["backends"]]
    answered = [one for one in asked if "answer" in one["slots"]]
    slots, model = "?", "?"
    if answered:
        rows = answered[0]["slots"]["answer"].get("slots", [])
        slots = f"{sum(row.get('state') != 'idle' for row in rows)}/{len(rows)}"
        models = answered[0]["models"].get("answer", {}).get("models", [])
        model = ", ".join(row["id"] for row in models if row.get("loaded")) or "none loaded"
    elif asked:
        remarks.append(f"{host}: does not answer its edge: {asked[0]['slots'].get('problem', 'no word')}")
    return [_breaker(host, seen), slots, model, _way(host, hosts, seen), _key_age(host, hosts, edges)]


def _breaker(host: str, seen: dict[str, Any]) -> str:
    states = {}
    for edge, facts in seen.items():
        stats = facts["services"]["edge"].get("answers", {}).get("stats", {}).get("answer", {})
        for row in stats.get("backends", []):
            if row.get("name") == host:
                states[edge] = str(row.get("breaker", {}).get("state", "?"))
    if len(set(states.values())) == 1:
        return next(iter(states.values()))
    return ", ".join(f"{edge} {state}" for edge, state in states.items()) or "?"


def _way(host: str, hosts: dict[str, Any], seen: dict[str, Any]) -> str:
    kind = str(hosts[host]["transport"])
    name = _WAYS.get(kind, kind)
    if kind == "ssh_tunnel":
        states = [facts["tunnels"].get(host, {}).get("ActiveState", "absent") for facts in seen.values()]
        return f"{name} ?" if not states else f"{name} {'up' if set(states) == {'active'} else 'DOWN'}"
    if kind == "tailscale":
        up = hosts[host]["found"]["facts"].get("tailnet", {}).get("state") == "Running"
        return f"{name} {'up' if up else 'DOWN'}"
    return name


def _key_age(host: str, hosts: dict[str, Any], edges: list[str]) -> str:
    """Of the oldest key that an edge of this inventory uses here, by the host's own clock."""
    facts = hosts[host]["found"]["facts"]
    known = {row["digest"]: row["created"] for row in facts["keys"]["admitted"]}
    held = {edge: hosts[edge]["found"]["facts"].get("keys", {}).get("held", {}).get(host) for edge in edges}
    used = [row["digest"] for row in held.values() if row]
    if any(digest not in known for digest in used):
        return "REFUSED"
    times = [_time(known[digest]) for digest in used or known]
    if not times:
        return "none"
    return age(facts["time"] - min(times)) if all(times) else "?"


def _time(created: str) -> float:
    try:
        found = datetime.fromisoformat(created)
    except ValueError:
        return 0.0
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _drawn(lines: list[list[str] | tuple[str, str, str]], width: int) -> list[str]:
    rows = [line for line in lines if isinstance(line, list)]
    widths = [max([len(_HEAD[column]), *(len(row[column]) for row in rows)]) for column in range(len(_HEAD))]
    for column in (0, 1):
        widths[column] = max([widths[column], *(len(line[column]) for line in lines)])
    # A release's configuration goes first, then ends of long names.
    if _over(widths, width) > 0:
        rows = [[*row[:_RELEASE], _shortened(row[_RELEASE]), *row[_RELEASE + 1 :]] for row in rows]
        widths[_RELEASE] = max([len(_HEAD[_RELEASE]), *(len(row[_RELEASE]) for row in rows)])
    for column in (_MODEL, 0, _RELEASE):
        widths[column] -= min(max(0, _over(widths, width)), max(0, widths[column] - _SHORTEST[column]))
    shortened = iter(rows)
    drawn = [_line(_HEAD, widths)]
    for line in lines:
        if isinstance(line, list):
            drawn.append(_line(next(shortened), widths)[:width].rstrip())
        else:
            begin = _line(list(line[:2]), widths[:2])
            drawn.append(_cut(f"{begin}  {line[2]}", width))
    return drawn


def _shortened(release: str) -> str:
    version, dot, configuration = release.rpartition(".")
    return version if dot and len(configuration) == 8 else release


def _over(widths: list[int], width: int) -> int:
    return sum(widths) + 2 * (len(widths) - 1) - width


def _line(cells: list[str], widths: list[int]) -> str:
    return "  ".join(_cut(cell, size).ljust(size) for cell, size in zip(cells, widths, strict=True)).rstrip()


def _cut(text: str, size: int) -> str:
    return text if len(text) <= size else text[: size - 1] + "…"


def _wrapped(text: str, width: int) -> list[str]:
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = "  " + word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line]


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"status_table": table}
