"""The edge from inside: who waits, which backend is set aside, what the edge itself costs, what it saves."""

from __future__ import annotations

from monitoring.dashboards.board import Label, Section, board
from monitoring.dashboards.panels import ONE_IS_GOOD, Json, Panel, Query, above, heatmap, stat, table, timeseries
from monitoring.dashboards.promql import (
    Scope,
    age,
    count,
    distribution,
    highest,
    increase,
    quantile,
    rate,
    share,
    total,
)
from monitoring.dashboards.units import Unit

EDGE = Scope("", "cerebrum_edge_ready", "Edge")
OF_BACKEND = 'backend=~"$backend"'
_BREAKER = {0: ("closed", "green"), 1: ("half open", "orange"), 2: ("open", "red")}


def dashboard() -> Json:
    return board(
        "cerebrum-edge",
        "Cerebrum: edge",
        "Queue, breakers, backends, overhead, condensation, resumes and keys of the edges.",
        scopes=(EDGE,),
        labels=(Label("backend", "Backend", EDGE("cerebrum_edge_backend_up")),),
        sections=(
            Section("Queue", _queue()),
            Section("Backends", _backends()),
            Section("What the edge adds", _overhead()),
            Section("Condensation", _condensation()),
            Section("Streams", _streams()),
            Section("Keys and process", [*_keys(), *_process()]),
        ),
    )


def _queue() -> list[Panel]:
    wait = EDGE("cerebrum_edge_queue_wait_seconds_bucket")
    return [
        timeseries(
            "In work and waiting",
            "Completions that are worked on, at most `edge_max_inflight`, and those that wait for a place.",
            Query(EDGE("cerebrum_edge_inflight"), "{{instance}}, in work"),
            Query(EDGE("cerebrum_edge_queue_depth"), "{{instance}}, waiting"),
            unit=Unit.COUNT,
            steps=True,
        ),
        timeseries(
            "Wait in the queue",
            "Of completions that got a place, those that had not to wait included.",
            *(Query(quantile(q, wait), f"p{q * 100:g}") for q in (0.5, 0.95, 0.99)),
            unit=Unit.SECONDS,
        ),
        timeseries(
            "Refused at the door",
            "Completions that got no place, by reason.",
            Query(total(rate(EDGE("cerebrum_edge_shed_total")), "reason"), "{{reason}}"),
            unit=Unit.PER_SECOND,
            stacked=True,
        ),
        timeseries(
            "Completions by dialect",
            "Which of the edge's APIs is used.",
            Query(total(rate(EDGE("cerebrum_edge_completions_total")), "dialect"), "{{dialect}}"),
            unit=Unit.PER_SECOND,
            stacked=True,
            width=12,
        ),
        heatmap("Waits", "How the waits in the queue spread.", Query(distribution(wait)), unit=Unit.SECONDS, width=12),
    ]


def _backends() -> list[Panel]:
    half_open = highest(EDGE("cerebrum_edge_breaker_state", OF_BACKEND, 'state="half_open"'), "instance", "backend")
    opened = highest(EDGE("cerebrum_edge_breaker_state", OF_BACKEND, 'state="open"'), "instance", "backend")
    return [
        timeseries(
            "Breakers",
            "Open: the backend failed and gets nothing; half open: one request tries it.",
            Query(f"{half_open} + 2 * {opened}", "{{instance}} → {{backend}}"),
            unit=Unit.STATE,
            steps=True,
            most=2,
            names=_BREAKER,
        ),
        timeseries(
            "Breakers' changes",
            "How often a breaker went to a state. Few, and only around a fault, unless a backend is ill.",
            Query(
                total(increase(EDGE("cerebrum_edge_breaker_transitions_total", OF_BACKEND)), "backend", "state"),
                "{{backend}} {{state}}",
            ),
            unit=Unit.COUNT,
            stacked=True,
        ),
        timeseries(
            "Up",
            "1 while a backend answered its last request.",
            Query(EDGE("cerebrum_edge_backend_up", OF_BACKEND), "{{instance}} → {{backend}}"),
            unit=Unit.STATE,
            steps=True,
            most=1,
        ),
        timeseries(
            "Failures of backends",
            "Requests to a backend that failed, by error code; many of them were answered by another one.",
            Query(
                total(rate(EDGE("cerebrum_edge_backend_failures_total", OF_BACKEND)), "backend", "code"),
                "{{backend}} {{code}}",
            ),
            unit=Unit.PER_SECOND,
            stacked=True,
            width=12,
        ),
        timeseries(
            "Answers by release",
            "Which release of a backend answered; two during an upgrade.",
            Query(
                total(rate(EDGE("cerebrum_edge_backend_answers_total", OF_BACKEND)), "backend", "release"),
                "{{backend}} {{release}}",
            ),
            unit=Unit.PER_SECOND,
            stacked=True,
            width=12,
        ),
    ]


def _overhead() -> list[Panel]:
    overhead = EDGE("cerebrum_edge_overhead_seconds_bucket")
    http = EDGE("cerebrum_edge_http_request_duration_seconds_bucket", 'route!="/metrics"')
    return [
        timeseries(
            "Overhead",
            "What the edge itself adds before the first token: neither the queue's wait nor the backend's time.",
            *(Query(quantile(q, overhead), f"p{q * 100:g}") for q in (0.5, 0.95, 0.99)),
            unit=Unit.SECONDS,
        ),
        heatmap("Overheads", "How the overhead spreads.", Query(distribution(overhead)), unit=Unit.SECONDS),
        timeseries(
            "HTTP, p95 by route",
            "From a request's head to the last byte of its answer: whole streams, for those that stream.",
            Query(quantile(0.95, http, "route"), "{{route}}"),
            unit=Unit.SECONDS,
        ),
    ]


def _condensation() -> list[Panel]:
    ratio = EDGE("cerebrum_edge_condensed_ratio_bucket")
    seconds = EDGE("cerebrum_edge_condense_seconds_bucket")
    return [
        timeseries(
            "Prompts looked at",
            "Long prompts, by what became of them.",
            Query(total(rate(EDGE("cerebrum_edge_condensations_total")), "outcome"), "{{outcome}}"),
            unit=Unit.PER_SECOND,
            stacked=True,
        ),
        timeseries(
            "What is left of a prompt",
            "Characters after condensing to characters before, of prompts that were condensed.",
            *(Query(quantile(q, ratio), f"p{q * 100:g}") for q in (0.5, 0.95)),
            unit=Unit.RATIO,
            most=1,
        ),
        timeseries(
            "Time that condensing takes",
            "Of the edge's processor: part of its overhead.",
            *(Query(quantile(q, seconds), f"p{q * 100:g}") for q in (0.5, 0.95, 0.99)),
            unit=Unit.SECONDS,
        ),
    ]


def _streams() -> list[Panel]:
    return [
        timeseries(
            "Tokens a second",
            "Tokens that went to clients.",
            Query(total(rate(EDGE("cerebrum_edge_tokens_total")), "instance"), "{{instance}}"),
            unit=Unit.TOKENS_A_SECOND,
        ),
        timeseries(
            "Taken up again",
            "Answers whose backend went away in the middle, and that went on elsewhere.",
            Query(total(increase(EDGE("cerebrum_edge_stream_resumes_total")), "instance"), "{{instance}}"),
            unit=Unit.COUNT,
        ),
        timeseries(
            "Clients that left",
            "Clients that went before their answer was over. Editors do that with every key.",
            Query(total(rate(EDGE("cerebrum_edge_client_disconnects_total")), "instance"), "{{instance}}"),
            unit=Unit.PER_SECOND,
        ),
    ]


def _keys() -> list[Panel]:
    return [
        timeseries(
            "Requests by key",
            "By the key's id; the key itself is nowhere.",
            Query(total(rate(EDGE("cerebrum_edge_key_requests_total")), "key_id"), "{{key_id}}"),
            unit=Unit.PER_SECOND,
            stacked=True,
            width=12,
        ),
        table(
            "Keys by age",
            "How long ago each key of the keys file was made.",
            Query(age(EDGE("cerebrum_edge_key_created_timestamp_seconds"))),
            unit=Unit.SECONDS,
            columns={"instance": "Host", "key_id": "Key", "Value": "Age"},
        ),
    ]


def _process() -> list[Panel]:
    ready = EDGE("cerebrum_edge_ready")
    return [
        timeseries(
            "Processor",
            "Cores that the edge's process uses.",
            Query(rate(EDGE("process_cpu_seconds_total")), "{{instance}}"),
            unit=Unit.COUNT,
        ),
        timeseries(
            "Memory",
            "Of the edge's process.",
            Query(EDGE("process_resident_memory_bytes"), "{{instance}}"),
            unit=Unit.BYTES,
        ),
        stat(
            "Ready",
            "Edges that take completions, of those that are scraped.",
            Query(share(total(ready), count(ready))),
            unit=Unit.RATIO,
            levels=ONE_IS_GOOD,
        ),
        stat(
            "Draining",
            "Edges that finish what they have and take nothing new.",
            Query(total(EDGE("cerebrum_edge_draining"))),
            unit=Unit.COUNT,
        ),
        stat(
            "File descriptors",
            "The highest share of those that it may have open.",
            Query(highest(share(EDGE("process_open_fds"), EDGE("process_max_fds")))),
            unit=Unit.RATIO,
            levels=above(0.7, 0.9),
        ),
        stat(
            "Fields not known",
            "Fields of requests that the edge does not know and leaves out, over the time that is shown.",
            Query(total(increase(EDGE("cerebrum_edge_ignored_fields_total"), "$__range"))),
            unit=Unit.COUNT,
            decimals=0,
        ),
    ]
