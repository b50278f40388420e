"""Alerts of the edge, the inference service and the probe."""

from __future__ import annotations

from monitoring.model import Alert, Group, Recording
from monitoring.thresholds import threshold

_KEY_CREATED = "key_created_timestamp_seconds"
# Version and lock; behind them a release's name has what hosts may differ in: CPU or GPU, and configuration.
_CODE = '"code", "$1", "release", "([^-]+-[^-.]+).*"'


def groups() -> tuple[Group, ...]:
    return (Group("cerebrum-edge", EDGE), Group("cerebrum-inference", INFERENCE), Group("cerebrum-both", BOTH),
            Group("cerebrum-probe", PROBE))  # fmt: skip


EDGE = (
    Alert(
        "EdgeDown",
        "page",
        'up{job="edge"} == 0',
        "The edge on {{ $labels.instance }} does not answer",
        "Prometheus cannot read the edge's metrics; nobody gets answers from it. "
        "First: `systemctl status 'cerebrum-edge@*' cerebrum-edge.socket` there.",
        lasting="2m",
    ),
    Alert(
        "EdgeNotReady",
        "page",
        "cerebrum_edge_ready == 0 and cerebrum_edge_draining == 0",
        "The edge on {{ $labels.instance }} has no backend that works",
        "It answers every completion with an error: no inference host can be reached, or all refuse its key. "
        "First: `cerebrum doctor`, which names the link that is broken.",
        lasting="2m",
    ),
    Alert(
        "BackendDown",
        "ticket",
        "cerebrum_edge_backend_up == 0",
        "The edge on {{ $labels.instance }} does not reach {{ $labels.backend }}",
        "It asks every ten seconds and gets no answer; its other backends, where it has some, take the work. "
        "First: is {{ $labels.backend }} up, and the way to it (tunnel or tailnet)?",
        lasting="3m",
    ),
    Alert(
        "BreakerOpen",
        "ticket",
        # It opens for seconds, tries, and opens again: a scrape may not see it open.
        'cerebrum_edge_breaker_state{state="open"} == 1\n'
        'or increase(cerebrum_edge_breaker_transitions_total{state="open"}[5m]) > 0.5',
        "The edge on {{ $labels.instance }} keeps requests from {{ $labels.backend }}",
        "Requests to it failed one after the other, so for a while none are sent there. "
        "First: `journalctl -u 'cerebrum-edge@*' | grep breaker`, then what {{ $labels.backend }} says.",
        lasting="1m",
    ),
    Alert(
        "EdgeShedding",
        "ticket",
        f"sum by (job, instance) (increase(cerebrum_edge_shed_total[10m])) > {threshold('shed_requests')} - 0.5",
        "The edge on {{ $labels.instance }} turns requests away",
        'About {{ $value | printf "%.0f" }} completions were refused in ten minutes because its queue was full, or '
        "their time in it was up. First: `cerebrum top`: who asks, and is the inference host as fast as usual?",
    ),
)

INFERENCE = (
    # Slots are those of models in memory: without a model there are none, and no ratio.
    Recording(
        "cerebrum:slots_busy:ratio",
        'sum by (job, instance) (cerebrum_inference_slots{state!="idle"})'
        " / (sum by (job, instance) (cerebrum_inference_slots) > 0)",
    ),
    Alert(
        "InferenceDown",
        "page",
        'up{job="inference"} == 0',
        "The inference service on {{ $labels.instance }} does not answer",
        "Prometheus cannot read its metrics: it is stopped, hangs, cannot be reached, or refuses Prometheus' key. "
        "First: `systemctl status 'cerebrum-inference@*' cerebrum-inference.socket` there.",
        lasting="3m",
        labels={"backend": "{{ $labels.instance }}"},  # as edges call it; see the inhibitions
    ),
    Alert(
        "InferenceNotReady",
        "ticket",
        "cerebrum_inference_ready == 0 and cerebrum_inference_draining == 0",
        "The inference service on {{ $labels.instance }} runs and is not ready",
        "It could not load its default model, or not compute with it. "
        "First: `systemctl status 'cerebrum-inference@*'` there; its status line tells why.",
        lasting="5m",
    ),
    Alert(
        "SlotsSaturated",
        "ticket",
        "avg_over_time(cerebrum:slots_busy:ratio[15m]) > 0.9\n"
        "and sum by (job, instance) (avg_over_time(cerebrum_inference_queue_depth[15m])) > 0.5",
        "All slots of {{ $labels.instance }} are busy, and requests wait",
        "{{ $value | humanizePercentage }} of its slots were in work over a quarter of an hour, with a queue. "
        "First: `cerebrum top`: who asks; then a smaller model, or another host.",
        lasting="10m",
    ),
    Alert(
        "InferenceRefusing",
        "ticket",
        'sum by (job, instance, reason) (increase(cerebrum_inference_refused_total{reason=~"memory|cpu"}[15m])) > 2.5',
        "{{ $labels.instance }} refuses work for want of {{ $labels.reason }}",
        'A guard keeps the host from being overloaded: {{ $value | printf "%.0f" }} requests were refused in a '
        "quarter of an hour. First: `top` there: what else uses its {{ $labels.reason }}?",
    ),
    Alert(
        "ModelMissing",
        "ticket",
        "cerebrum_inference_model_available == 0",
        "{{ $labels.instance }} cannot serve {{ $labels.model }}",
        "The model's file is not in the store, or was refused as damaged. Requests for it fail. "
        "First: run site.yml, which fetches what is missing.",
        lasting="5m",
    ),
    Alert(
        "ModelLoadFailing",
        "ticket",
        "increase(cerebrum_inference_model_load_failures_total[30m]) > 0.5\n"
        "and on (job, instance, model) cerebrum_inference_model_loaded == 0",
        "{{ $labels.instance }} cannot load {{ $labels.model }}",
        "It tried within the last half hour and failed, and the model is not in memory. "
        "First: `journalctl -u 'cerebrum-inference@*' | grep load` there tells why.",
        lasting="2m",
    ),
    Alert(
        "KeyRefused",
        "ticket",
        'sum by (job, instance) (increase(cerebrum_inference_http_requests_total{status="401"}[10m])) > 2.5',
        "{{ $labels.instance }} refuses somebody's key",
        '{{ $value | printf "%.0f" }} requests in ten minutes had no key that it knows: an edge whose key was taken '
        "away, Prometheus, or a stranger. First: `playbooks/doctor.yml`, which shows each edge's key for it.",
    ),
)

BOTH = (
    Alert(
        "KeyOld",
        "ticket",
        f"(\n  time() - cerebrum_edge_{_KEY_CREATED}\n  or time() - cerebrum_inference_{_KEY_CREATED}\n)"
        f" / 86400 > {threshold('key_age_days')}",
        "The key {{ $labels.key_id }} on {{ $labels.instance }} is old",
        'It was made {{ $value | printf "%.0f" }} days ago; the longer a key is in use, the more copies of it there '
        "may be. First: `playbooks/rotate_keys.yml` for an edge's key; a client's is exchanged by hand.",
        lasting="15m",
    ),
    Alert(
        "ReleaseDiffers",
        "ticket",
        "count by (job) (count by (job, code) (label_replace(\n"
        f'  {{__name__=~"cerebrum_(edge|inference)_build_info"}}, {_CODE}))) > 1',
        "The hosts of {{ $labels.job }} run different releases",
        "There are {{ $value }}. An upgrade is under way, was interrupted, or left a host out. "
        "First: `playbooks/status.yml` shows who runs what; then `playbooks/upgrade.yml`.",
        lasting="30m",
    ),
    Alert(
        "RestartLoop",
        "ticket",
        'changes(process_start_time_seconds{job=~"edge|inference"}[30m]) > 2.5',
        "The {{ $labels.job }} service on {{ $labels.instance }} restarts again and again",
        "{{ $value }} times in half an hour. Streams that run through it are taken up again where that is possible. "
        "First: `journalctl -u 'cerebrum-{{ $labels.job }}@*' -p warning` there.",
    ),
)

PROBE = (
    Alert(
        "ProbeFailing",
        "page",
        "cerebrum_probe_success == 0",
        "The probe on {{ $labels.instance }} gets no completion",
        "A request like a user's failed at an edge, and again in the probe's next round. "
        "First: `cerebrum doctor`, which names the link that is broken.",
        lasting="6m",  # more than one round
    ),
    Alert(
        "ProbeStale",
        "ticket",
        f"time() - cerebrum_probe_last_run_timestamp_seconds > {threshold('probe_stale_seconds')}",
        "The probe on {{ $labels.instance }} has not run for {{ $value | humanizeDuration }}",
        "Whether completions come through is not known meanwhile. "
        "First: `systemctl list-timers 'cerebrum-*'` there, and the journal of the probe's unit.",
    ),
    Alert(
        "ProbeMissing",
        "ticket",
        'absent(cerebrum_probe_last_run_timestamp_seconds) and on () count(up{job="edge"}) > 0\n'
        f"and on () vector({threshold('probe_wanted')}) == 1\n"
        'unless on () up{job="node"} == 0',
        "No probe tells whether completions come through",
        "No host has a result of `cerebrum probe`. "
        "First: `systemctl list-timers 'cerebrum-*'` on the monitoring host; was playbooks/monitoring.yml run?",
        lasting="15m",
    ),
)
