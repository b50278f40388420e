"""A picture as something that a terminal shows. Pure.

What other programs told is shown as text: it is neither markup nor anything that a terminal obeys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cerebrum_cli.answer.paint import visible
from cerebrum_cli.top.picture import Alert, Backend, Facts, Model, Probe, Service, Speed

_GOOD, _WARN, _BAD, _DIM = "green", "yellow", "red", "dim"
_BREAKERS = {"closed": _GOOD, "half_open": _WARN, "open": _BAD}
_BAR = 20
_NOT_FAILED = frozenset({"ok", "disconnected", "caller_error", "client_too_slow"})


def render(source: str, facts: Facts | None, problems: Sequence[str] = (), *, hint: str = "") -> RenderableType:
    """The whole picture.

    Args:
        facts: None before the first look.
        problems: sources that did not answer.
        hint: what the keys do.
    """
    parts: list[RenderableType] = [_head(source, facts, hint)]
    parts += [Text(f"! {visible(problem)}", style=_BAD) for problem in problems]
    if facts is None:
        if not problems:
            parts.append(Text("looking …", style=_DIM))
        return Group(*parts)
    lines = Table.grid(padding=(0, 2))
    lines.add_column(style=_DIM, no_wrap=True)
    lines.add_column(overflow="fold")
    for name, text in _lines(facts):
        lines.add_row(name, text)
    parts += ["", lines]
    if facts.backends:
        parts += ["", _backends(facts.backends, several=len({one.edge for one in facts.backends}) > 1)]
    if facts.models:
        parts += ["", _models(facts.models)]
    if facts.alerts is not None:
        parts += ["", _alerts(facts.alerts)]
    return Group(*parts)


def answering(facts: Facts) -> tuple[bool, str]:
    """Whether who asks now is likely to get an answer, and what speaks against it."""
    if not facts.edges:
        return False, "no edge tells anything"
    if not any(one.ready for one in facts.edges):
        draining = all(one.draining for one in facts.edges)
        return False, "the edge is draining" if draining else "the edge is not ready"
    if facts.backends and not any(one.up for one in facts.backends):
        return False, "no backend is up"
    if facts.backends and all(one.breaker == "open" for one in facts.backends):
        return False, "every backend is set aside after failures"
    if facts.probes and not any(one.success for one in facts.probes):
        # Where others are answered it was refused for want of room, or it is what is wrong itself.
        return facts.completions.get("ok", 0.0) > 0, "the last probe failed"
    return True, ""


def _head(source: str, facts: Facts | None, hint: str) -> Text:
    head = Text("cerebrum top", style="bold")
    words = [hint] if hint else []
    words.append(visible(source))
    if facts is not None:
        words.append(datetime.fromtimestamp(facts.moment).astimezone().strftime("%H:%M:%S"))
        if facts.since_start:
            words.append(f"rates since the start, {span(facts.seconds)} ago")
        elif facts.seconds:
            words.append(f"rates over the last {span(facts.seconds)}")
    return head.append(f" · {' · '.join(words)}", style="not bold dim")


def _lines(facts: Facts) -> Iterator[tuple[str, Text]]:
    yes, why = answering(facts)
    if yes:
        words = Text("yes", style=f"bold {_GOOD}").append(f", though {why}" if why else "", style=f"not bold {_WARN}")
    else:
        words = Text(f"NO: {why}", style=f"bold {_BAD}")
    yield "answering", words
    if facts.edges:
        yield "edge", _services(facts.edges)
    if facts.hosts:
        yield "inference", _services(facts.hosts)
    yield "answers", _outcomes(facts.completions)
    yield "first token", _speed(facts.first_token)
    yield "between two", _speed(facts.inter_token)
    yield "edge adds", _speed(facts.overhead)
    yield "load", _load(facts)
    yield "tokens", Text(f"{rate(facts.tokens)} to clients, {rate(facts.generated)} generated")
    yield "condensed", _condensation(facts)
    if facts.slots:
        yield "slots", _slots(facts.slots)
    if facts.probes:
        yield "probe", _probes(facts.probes)


def _services(services: Sequence[Service]) -> Text:
    text = Text()
    for number, one in enumerate(services):
        text.append(", " if number else "")
        state, style = ("draining", _WARN) if one.draining else ("ready", _GOOD) if one.ready else ("not ready", _BAD)
        text.append(f"{visible(one.instance)} ").append(state, style=style)
        text.append(f" {visible(one.release)}" if one.release else "", style=_DIM)
    return text


def _outcomes(rates: Mapping[str, float]) -> Text:
    if not rates:
        return Text("-")
    text = Text(f"ok {rate(rates.get('ok', 0.0))}")
    for outcome, value in sorted(rates.items(), key=lambda one: -one[1]):
        if outcome != "ok" and value:
            text.append(", ")
            text.append(f"{visible(outcome)} {rate(value)}", style="" if outcome in _NOT_FAILED else _BAD)
    return text


def _speed(speed: Speed) -> Text:
    if speed.p50 is None:
        return Text("none seen", style=_DIM)
    return Text(f"p50 {seconds(speed.p50)}, p95 {seconds(speed.p95)}")


def _load(facts: Facts) -> Text:
    text = Text(f"{count(facts.inflight)} in work, {count(facts.queue)} waiting")
    turned = {**facts.shed, **{f"inference: {reason}": value for reason, value in facts.refused.items()}}
    for reason, value in turned.items():
        if value:
            text.append(f", {visible(reason)} {rate(value)}", style=_BAD)
    return text


def _condensation(facts: Facts) -> Text:
    if not facts.condensations:
        return Text("-")
    text = Text(f"{rate(facts.condensations.get('condensed', 0.0))}")
    if facts.condensed is not None:
        text.append(f" to {facts.condensed:.0%}")
    text.append(f", as they are {rate(facts.condensations.get('unchanged', 0.0))}")
    return text.append(f"; taken up again {rate(facts.resumes)}", style=_WARN if facts.resumes else "")


def _slots(slots: Mapping[str, float]) -> Text:
    total = sum(slots.values())
    text = bar([(slots.get("decode", 0.0), _GOOD), (slots.get("prefill", 0.0), _WARN)], total)
    return text.append(
        f" {slots.get('decode', 0.0):g} write, {slots.get('prefill', 0.0):g} read, {slots.get('idle', 0.0):g} idle"
    )


def _probes(probes: Sequence[Probe]) -> Text:
    text = Text()
    for number, one in enumerate(probes):
        text.append(", " if number else "")
        text.append("answered" if one.success else "failed", style=_GOOD if one.success else _BAD)
        text.append(f" {span(one.age)} ago" if one.age is not None else "")
        text.append(f", {seconds(one.seconds)}" if one.seconds is not None else "")
        text.append(f", first token {seconds(one.first_token)}" if one.success and one.first_token is not None else "")
    return text


def _backends(backends: Sequence[Backend], *, several: bool) -> Table:
    table = _table("backend", "up", "breaker", "in work", "failures")
    for one in backends:
        name = f"{one.edge} → {one.name}" if several else one.name
        retry = f", tried in {one.retry_in:.0f} s" if one.retry_in else ""
        words = f" {visible(one.problem)}" if one.problem else ""
        table.add_row(
            Text(visible(name)),
            Text("yes", style=_GOOD) if one.up else Text(f"NO{words}", style=_BAD),
            Text(visible(one.breaker).replace("_", " ") + retry, style=_BREAKERS.get(one.breaker, "")),
            Text("-" if one.outstanding is None else str(one.outstanding)),
            Text(rate(one.failures), style=_BAD if one.failures else ""),
        )
    return table


def _models(models: Sequence[Model]) -> Table:
    table = _table("model", "in memory", "tokens", "KV cache", "waiting")
    several = len({one.instance for one in models}) > 1
    for one in models:
        table.add_row(
            Text(visible(f"{one.instance}: {one.name}" if several else one.name)),
            Text("yes", style=_GOOD) if one.loaded else Text("no") if one.available else Text("MISSING", style=_BAD),
            Text(rate(one.tokens_per_second)),
            _cells(one),
            Text(f"{one.waiting:g}"),
        )
    return table


def _cells(model: Model) -> Text:
    if not model.cells:
        return Text("-")
    text = bar([(model.live, _GOOD), (model.idle, _DIM)], model.cells)
    return text.append(f" {model.live / model.cells:.0%} used, {model.idle / model.cells:.0%} kept")


def _alerts(alerts: Sequence[Alert]) -> RenderableType:
    if not alerts:
        return Text("no alert fires", style=_GOOD)
    table = _table("alert", "severity", "about")
    for one in alerts:
        style = _DIM if one.pending else _WARN if one.severity in ("ticket", "warning") else _BAD
        words = (one.name, f"{one.severity} (pending)" if one.pending else one.severity, one.about)
        table.add_row(*(Text(visible(word), style=style) for word in words))
    return table


def bar(parts: Sequence[tuple[float, str]], total: float) -> Text:
    """A bar of fixed width: each part's share of `total` in its colour, the rest empty."""
    text = Text()
    drawn = 0
    reached = 0.0
    for value, style in parts:
        reached += value
        upto = round(_BAR * min(1.0, reached / total)) if total > 0 else 0
        text.append("█" * (upto - drawn), style=style)
        drawn = max(drawn, upto)
    return text.append("░" * (_BAR - drawn), style=_DIM)


def rate(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}/s" if value >= 99.95 else f"{value:.1f}/s" if value >= 9.995 or not value else f"{value:.2f}/s"


def seconds(value: float | None) -> str:
    """A duration, with about three digits."""
    if value is None:
        return "-"
    if value < 1:
        return f"{value * 1000:.1f} ms" if value < 0.0995 else f"{value * 1000:.0f} ms"
    return f"{value:.2f} s" if value < 9.995 else f"{value:.1f} s" if value < 99.95 else span(value)


def span(value: float) -> str:
    """A time that has gone by, in its two largest units."""
    whole = round(value)
    if whole < 120:
        return f"{whole} s"
    for unit, name, smaller, smaller_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "m")):
        if whole >= unit:
            return f"{whole // unit} {name} {whole % unit // smaller} {smaller_name}"
    return f"{whole // 60} m {whole % 60} s"


def count(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns[:-1]:
        table.add_column(column, no_wrap=True)
    table.add_column(columns[-1], overflow="fold")
    return table
