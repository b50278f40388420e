"""Is it answering, how fast, and who is refused. The first board to open, and often the only one."""

from __future__ import annotations

from monitoring.dashboards.board import Choice, Section, board
from monitoring.dashboards.panels import (
    NONE_IS_GOOD,
    ONE_IS_GOOD,
    Json,
    Levels,
    Panel,
    Query,
    above,
    below,
    heatmap,
    stat,
    table,
    timeseries,
)
from monitoring.dashboards.promql import (
    Scope,
    age,
    count,
    distribution,
    highest,
    increase,
    lowest,
    quantile,
    rate,
    share,
    total,
)
from monitoring.dashboards.units import Unit
from monitoring.slo import OBJECTIVES

EDGE = Scope("", "cerebrum_edge_ready", "Edge")
INFERENCE = Scope("inference_", "cerebrum_inference_ready", "Inference")
PROBE = Scope("probe_", "cerebrum_probe_success", "Probe")
# What the edge is not to blame for: the client left, or asked for what cannot be.
NOT_OURS = 'outcome!~"caller_error|disconnected|client_too_slow"'
WINDOW = "$window"
_YES_NO = {0: ("no", "red"), 1: ("yes", "green")}


def dashboard() -> Json:
    return board(
        "cerebrum-overview",
        "Cerebrum: overview",
        "Is it answering, how fast, and who is refused.",
        scopes=(EDGE, INFERENCE, PROBE),
        choices=(
            Choice("window", "Attainment over", ("1d", "1h", "6h", "7d")),
            Choice("ttft", "First token within (s)", ("10", "1", "2.5", "5", "30")),
            Choice("overhead", "Edge adds at most (s)", ("0.25", "0.01", "0.05", "0.1")),
        ),
        sections=(
            Section("Is it answering", [*_now(), _completions(), *_probe()]),
            Section("Objectives", _attainment()),
            Section("How fast", _speed()),
            Section("Who is refused", _refusals()),
            Section("What is watched", _watched()),
        ),
    )


def _now() -> list[Panel]:
    not_closed = EDGE("cerebrum_edge_breaker_state", 'state!="closed"')
    return [
        stat(
            "Edge ready",
            "Whether every edge says on /ready that it takes completions.",
            Query(lowest(EDGE("cerebrum_edge_ready"))),
            unit=Unit.STATE,
            levels=ONE_IS_GOOD,
            names=_YES_NO,
        ),
        stat(
            "Backends up",
            "Backends whose last request was answered, of those that the edges know.",
            Query(total(EDGE("cerebrum_edge_backend_up")), "up"),
            Query(count(EDGE("cerebrum_edge_backend_up")), "known"),
            unit=Unit.COUNT,
        ),
        stat(
            "Breakers not closed",
            "Backends that get no requests, or one on trial, since they failed.",
            Query(total(not_closed)),
            unit=Unit.COUNT,
            levels=NONE_IS_GOOD,
        ),
        stat(
            "Probe",
            "Whether the last synthetic completion came through.",
            Query(lowest(PROBE("cerebrum_probe_success"))),
            unit=Unit.STATE,
            levels=ONE_IS_GOOD,
            names={0: ("failed", "red"), 1: ("answered", "green")},
            quiet="no probe",
        ),
        stat(
            "Last probe",
            "How long ago the probe that ran longest ago did.",
            Query(highest(age(PROBE("cerebrum_probe_last_run_timestamp_seconds")))),
            unit=Unit.SECONDS,
            levels=above(900, 3600),
            quiet="no probe",
            decimals=0,
        ),
        stat(
            "Alerts firing",
            "Alerts that fire now; Watchdog, which always does, is not counted.",
            Query('count(ALERTS{alertstate="firing", alertname!="Watchdog"}) or vector(0)'),
            unit=Unit.COUNT,
            levels=NONE_IS_GOOD,
        ),
    ]


def _completions() -> Panel:
    return timeseries(
        "Completions by outcome",
        "Answers that are over, a second, by how they ended. Errors inside of a stream count too, which HTTP's status "
        "does not show.",
        Query(total(rate(EDGE("cerebrum_edge_completions_total")), "outcome"), "{{outcome}}"),
        unit=Unit.PER_SECOND,
        stacked=True,
        width=12,
    )


def _probe() -> list[Panel]:
    return [
        timeseries(
            "Probe: how long it took",
            "The synthetic completion, whole and up to its first token. It is there when nobody asks anything.",
            Query(PROBE("cerebrum_probe_duration_seconds"), "{{instance}}, whole"),
            Query(PROBE("cerebrum_probe_time_to_first_token_seconds"), "{{instance}}, first token"),
            unit=Unit.SECONDS,
            steps=True,
            width=12,
        )
    ]


def _promised(slo: str) -> Levels:
    """Green while the promise is kept, red where twice its budget is spent."""
    objective = next(one.objective for one in OBJECTIVES if one.slo == slo)
    return below(round(2 * objective - 1, 4), objective)


def _attainment() -> list[Panel]:
    ours = total(increase(EDGE("cerebrum_edge_completions_total", NOT_OURS), WINDOW))
    answered = total(increase(EDGE("cerebrum_edge_completions_total", 'outcome="ok"'), WINDOW))
    attempts = total(increase(PROBE("cerebrum_probe_attempts_total"), WINDOW))
    failures = total(increase(PROBE("cerebrum_probe_failures_total"), WINDOW))
    idle = "no traffic"
    return [
        stat(
            "Answered",
            "Completions that ended well, of those that the edge is answerable for: clients that left, and requests "
            "that could not be met, are not counted.",
            Query(share(answered, ours)),
            unit=Unit.RATIO,
            levels=_promised("availability"),
            quiet=idle,
            decimals=2,
            width=6,
        ),
        stat(
            "First token in time",
            "First tokens that came within the time that is chosen above.",
            Query(_within("cerebrum_edge_time_to_first_token_seconds", "$ttft")),
            unit=Unit.RATIO,
            levels=_promised("first_token"),
            quiet=idle,
            decimals=2,
            width=6,
        ),
        stat(
            "Overhead small enough",
            "Answers to whose first token the edge itself added no more than is chosen above.",
            Query(_within("cerebrum_edge_overhead_seconds", "$overhead")),
            unit=Unit.RATIO,
            levels=_promised("overhead"),
            quiet=idle,
            decimals=2,
            width=6,
        ),
        stat(
            "Probes answered",
            "Synthetic completions that came through: the figure to go by where there are few requests.",
            Query(f"1 - {share(failures, attempts)}"),
            unit=Unit.RATIO,
            levels=_promised("probe"),
            quiet="no probe",
            decimals=2,
            width=6,
        ),
    ]


def _within(histogram: str, bound: str) -> str:
    """The share of observations up to a bound that is a bucket's."""
    # The client library writes whole numbers as 10.0, others write them as 10.
    part = EDGE(f"{histogram}_bucket", f'le=~"{bound}([.]0)?"')
    return share(total(increase(part, WINDOW)), total(increase(EDGE(f"{histogram}_count"), WINDOW)))


def _speed() -> list[Panel]:
    first = EDGE("cerebrum_edge_time_to_first_token_seconds_bucket")
    whole = EDGE("cerebrum_edge_completion_seconds_bucket")
    return [
        timeseries(
            "Time to the first token",
            "From a request's arrival at the edge to its first token, the wait in the queue included.",
            *(Query(quantile(q, first), f"p{q * 100:g}") for q in (0.5, 0.95, 0.99)),
            unit=Unit.SECONDS,
        ),
        heatmap(
            "First tokens",
            "How the times to the first token spread.",
            Query(distribution(first)),
            unit=Unit.SECONDS,
        ),
        timeseries(
            "Whole answers",
            "From a request's arrival to the end of its answer, of answers that ended well.",
            *(Query(quantile(q, whole), f"p{q * 100:g}") for q in (0.5, 0.95)),
            unit=Unit.SECONDS,
        ),
        timeseries(
            "Between two tokens",
            "What a reader sees as the speed of writing.",
            *(
                Query(quantile(q, EDGE("cerebrum_edge_inter_token_seconds_bucket")), f"p{q * 100:g}")
                for q in (0.5, 0.95)
            ),
            unit=Unit.SECONDS,
        ),
        timeseries(
            "Tokens a second",
            "All tokens that went to clients, and all that the inference hosts generated.",
            Query(total(rate(EDGE("cerebrum_edge_tokens_total"))), "to clients"),
            Query(total(rate(INFERENCE("cerebrum_inference_generated_tokens_total"))), "generated"),
            unit=Unit.TOKENS_A_SECOND,
        ),
        timeseries(
            "In work and waiting",
            "Completions that an edge works on, and those that wait for a place.",
            Query(total(EDGE("cerebrum_edge_inflight"), "instance"), "{{instance}}, in work"),
            Query(total(EDGE("cerebrum_edge_queue_depth"), "instance"), "{{instance}}, waiting"),
            unit=Unit.COUNT,
            steps=True,
        ),
    ]


def _refusals() -> list[Panel]:
    bad = 'outcome=~"overloaded|upstream_.+|internal|shutting_down"'
    return [
        timeseries(
            "Completions that failed",
            "By what they failed of. `overloaded` means that there was no room, at the edge or at its backends.",
            Query(total(rate(EDGE("cerebrum_edge_completions_total", bad)), "outcome"), "{{outcome}}"),
            unit=Unit.PER_SECOND,
            stacked=True,
        ),
        timeseries(
            "Refused at the door",
            "Completions that got no place: the queue was full, or they had waited too long in it.",
            Query(total(rate(EDGE("cerebrum_edge_shed_total")), "reason"), "{{reason}}"),
            unit=Unit.PER_SECOND,
            stacked=True,
        ),
        timeseries(
            "HTTP answers by status",
            "All routes. 401 is a key that is not known; streams that failed later are 200 here.",
            Query(total(rate(EDGE("cerebrum_edge_http_requests_total", 'route!="/metrics"')), "status"), "{{status}}"),
            unit=Unit.PER_SECOND,
            stacked=True,
        ),
    ]


def _watched() -> list[Panel]:
    return [
        table(
            "Targets",
            "What Prometheus scrapes, and whether it answers.",
            Query("up"),
            unit=Unit.STATE,
            columns={"job": "Job", "instance": "Host", "Value": "Answers"},
            names=_YES_NO,
        ),
        table(
            "Releases",
            "What runs where. Two releases of one service are an upgrade that is not over.",
            Query(f"{EDGE('cerebrum_edge_build_info')} or {INFERENCE('cerebrum_inference_build_info')}"),
            unit=Unit.STATE,
            columns={"job": "Service", "instance": "Host", "version": "Version", "release": "Release"},
        ),
    ]
