"""One request's records from the journals of several hosts, as lines in order of time. No I/O."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, NamedTuple

_FIRST = ("method", "route", "status", "outcome", "seconds", "backend", "model")
_SAID = {"time", "service", "event", "request_id", "level"}


class Record(NamedTuple):
    time: float
    host: str
    service: str
    text: str


def records(host: str, journal: str, request_id: str) -> list[Record]:
    """What a host's journal has of a request.

    Args:
        journal: lines of `journalctl --output=json`; a line may hold the id by chance, as a part of another.
    """
    found = []
    for line in journal.splitlines():
        try:
            entry = json.loads(line)
            message = entry["MESSAGE"]
            time = int(entry["__REALTIME_TIMESTAMP"]) / 1e6
        except (ValueError, KeyError, TypeError):
            continue
        if not isinstance(message, str):
            continue  # journald gives bytes that are no text as numbers
        unit = str(entry.get("_SYSTEMD_UNIT", ""))
        service = unit.removeprefix("cerebrum-").partition("@")[0].removesuffix(".service")
        said = _said(message)
        if said is None and request_id in message.replace(",", " ").split():
            found.append(Record(time, host, service, message))
        elif said is not None and said.get("request_id") == request_id:
            found.append(Record(_time(said.get("time")) or time, host, said.get("service") or service, _text(said)))
    return found


def merged(hosts: dict[str, str], request_id: str) -> str:
    """All hosts' records of a request, a line each, in order of time.

    Args:
        hosts: each host's journal.
    """
    found = sorted(one for host, journal in hosts.items() for one in records(host, journal, request_id))
    if not found:
        return ""
    days = {_at(one.time, "%Y-%m-%d") for one in found}
    shape = "%H:%M:%S.%f" if len(days) == 1 else "%Y-%m-%d %H:%M:%S.%f"
    sizes = [max(len(one.host) for one in found), max(len(one.service) for one in found)]
    lines = [f"{', '.join(sorted(days))}, UTC, by each host's clock"]
    for one in found:
        who = f"{one.host.ljust(sizes[0])}  {one.service.ljust(sizes[1])}"
        lines.append(f"{_at(one.time, shape)[:-3]}  {who}  {one.text}")
    return "\n".join(lines)


def _said(message: str) -> dict[str, Any] | None:
    try:
        found = json.loads(message)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _text(said: dict[str, Any]) -> str:
    """The event, then its facts as name=value; a line's ends in a value do not end this one."""
    names = [name for name in _FIRST if name in said] + [one for one in said if one not in _FIRST and one not in _SAID]
    level = str(said.get("level", "info"))
    begin = [level.upper()] if level not in ("info", "debug") else []
    facts = [f"{name}={_value(said[name])}" for name in names if said[name] is not None]
    return " ".join([*begin, str(said.get("event", "")), *facts])


def _value(value: Any) -> str:
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return value if value.isprintable() and value and " " not in value else json.dumps(value, ensure_ascii=True)


def _time(text: Any) -> float:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return 0.0
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _at(time: float, shape: str) -> str:
    return datetime.fromtimestamp(time, UTC).strftime(shape)


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"logs_merged": merged}
