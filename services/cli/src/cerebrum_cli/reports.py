"""What the edge says of itself, as tables. Pure: its answers in, renderables out; absent fields are left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from cerebrum_cli.answer.paint import visible
from cerebrum_cli.answer.receipt import size


def services(facts: dict[str, Any]) -> Table:
    """Edge and backend, a row each.

    Args:
        facts: `health`, `stats` and `backend` (the backend's health, or `problem`).
    """
    table = _table("service", "status", "release", "uptime", last="details")
    health, stats, backend = facts["health"], facts["stats"], facts["backend"]
    table.add_row("edge", *_health(health), _cell(health.get("problem") or "") or _load(stats))
    if "health" in backend:
        remote = backend["health"]
        details = _cell(remote.get("problem") or "") or f"{backend.get('round_trip_ms', '?')} ms away"
        table.add_row(f"inference ({_cell(backend.get('backend'))})", *_health(remote), details)
    else:
        table.add_row("inference", "unreachable", "", "", _cell(backend.get("problem")))
    return table


def models(rows: list[dict[str, Any]], *, chosen: str | None = None) -> Table:
    table = _table("model", "loaded", "context", last="languages")
    for row in rows:
        name = str(row.get("id"))
        table.add_row(
            f"{_cell(name)} (chosen)" if name == chosen else _cell(name),
            "yes" if row.get("loaded") else "on demand",
            str(row.get("context", "")),
            _cell(", ".join(row.get("languages") or ())) or "any",
        )
    return table


def stats(facts: dict[str, Any]) -> RenderableType:
    """The edge's counters, and its backends where it tells of them."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in _counters(facts):
        table.add_row(name, text)
    backends = facts.get("backends")
    if not isinstance(backends, list) or not backends:
        return table
    return Group(table, "", _backends(backends))


def left_out(answer: dict[str, Any]) -> Iterator[str]:
    """What a dry run of the condensation did, in lines."""
    before, after = answer.get("before", 0), answer.get("after", 0)
    if not answer.get("condensed"):
        yield f"sent as it is ({size(before)} characters): {answer.get('reason') or 'no reason given'}"
        return
    took = f" in {answer['ms']:.1f} ms" if isinstance(answer.get("ms"), int | float) else ""
    language = answer.get("language") or "no language detected"
    yield f"condensed {size(before)}→{size(after)} characters{took} · {language}"
    for name in ("kept", "elided"):
        if ranges := answer.get(name):
            lines = (f"{first}-{last}" if first != last else str(first) for first, last in ranges)
            yield f"{name} lines {', '.join(lines)}"


def _counters(facts: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [
        ("uptime", duration(facts["uptime"]) if "uptime" in facts else ""),
        ("requests", f"{facts['requests_total']}, {_load(facts)}" if "requests_total" in facts else ""),
        ("backend", "" if "vps_available" not in facts else "available" if facts["vps_available"] else "unavailable"),
    ]
    condensed = facts.get("condensation")
    if isinstance(condensed, dict):
        before, after = condensed.get("before", 0), condensed.get("after", 0)
        saved = f", {size(before)}→{size(after)} characters" if before else ""
        rows.append(("condensed", f"{_count(condensed.get('requests', 0), 'prompt')}{saved}"))
    if "resumes" in facts:
        rows.append(("resumed", _count(facts["resumes"], "stream")))
    return [(name, text) for name, text in rows if text]


def _backends(rows: list[dict[str, Any]]) -> Table:
    table = _table("backend", "in work", "address", last="state")
    for row in rows:
        working = row.get("outstanding")
        table.add_row(
            _cell(row.get("name")),
            "" if working is None else str(working),
            _cell(row.get("url", "")),
            _cell(_breaker(row)),
        )
    return table


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _breaker(row: dict[str, Any]) -> str:
    breaker = row.get("breaker")
    state = breaker.get("state") if isinstance(breaker, dict) else None
    if not isinstance(breaker, dict) or state == "closed":
        if row.get("available", True):
            return "available"
        return f"unavailable: {row['problem']}" if row.get("problem") else "unavailable"
    retry = breaker.get("retry_in")
    when = f", tried again in {retry:.0f} s" if isinstance(retry, int | float) else ""
    words = {"open": "set aside", "half_open": "being tried again"}
    return f"{words.get(str(state), str(state))} after {breaker.get('failures', '?')} failures{when}"


def _health(health: dict[str, Any]) -> tuple[str, str, str]:
    uptime = health.get("uptime")
    return (
        _cell(health.get("status", "unknown")),
        _cell(health.get("release", "")),
        duration(uptime) if isinstance(uptime, int | float) else "",
    )


def _load(stats: dict[str, Any]) -> str:
    parts = [
        f"{stats[field]}{unit}"
        for field, unit in (("requests_active", " active"), ("requests_waiting", " waiting"), ("memory_mb", " MB"))
        if field in stats
    ]
    return ", ".join(parts)


def _cell(what: object) -> str:
    """Another program's words: neither markup nor anything that a terminal obeys."""
    return escape(visible(str(what)))


def _table(*columns: str, last: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=True)
    table.add_column(last, overflow="fold")
    return table


def duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days}d {hours}h" if days else f"{hours}h {minutes}m" if hours else f"{minutes}m {rest}s"
