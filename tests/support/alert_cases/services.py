"""Cases for the alerts of the edge, the inference service and the probe."""

from __future__ import annotations

from support.alert_cases.case import Case, fires, idle, in_its_window, quiet

_EDGE = {"job": "edge", "instance": "pi"}
_VPS = {"job": "inference", "instance": "vps"}
_PROBE = {"job": "node", "instance": "pi"}
_E = 'job="edge",instance="pi"'
_I = 'job="inference",instance="vps"'
_N = 'job="node",instance="pi"'
_DAY = 86400


def _states(opened: str, closed: str) -> dict[str, str]:
    family = f"cerebrum_edge_breaker_state{{{_E}"
    return {f'{family},backend="vps",state="open"}}': opened, f'{family},backend="vps",state="closed"}}': closed}


def _openings(values: str) -> dict[str, str]:
    family = f'cerebrum_edge_breaker_transitions_total{{{_E},backend="vps"'
    return {f'{family},state="open"}}': values, f'{family},state="half_open"}}': "0+1x100"}


def _ready(service: str, target: str, ready: str, draining: str) -> dict[str, str]:
    return {f"cerebrum_{service}_ready{{{target}}}": ready, f"cerebrum_{service}_draining{{{target}}}": draining}


def _shed(full: str) -> dict[str, str]:
    return {f'cerebrum_edge_shed_total{{{_E},reason="queue_full"}}': full}


def _starts(values: str) -> dict[str, str]:
    return {f"process_start_time_seconds{{{_E}}}": values}


def _slots(busy: str, free: str, queue: str) -> dict[str, str]:
    family = f"cerebrum_inference_slots{{{_I},state="
    return {
        f'{family}"decode"}}': busy,
        f'{family}"prefill"}}': "0x400",
        f'{family}"idle"}}': free,
        f'cerebrum_inference_queue_depth{{{_I},model="a"}}': queue,
        f'cerebrum_inference_queue_depth{{{_I},model="b"}}': "0x400",
    }


def _refused(memory: str, queue: str = "0x100") -> dict[str, str]:
    family = f"cerebrum_inference_refused_total{{{_I},reason="
    return {f'{family}"memory"}}': memory, f'{family}"queue"}}': queue}


def _loads(failures: str, loaded: str) -> dict[str, str]:
    return {
        f'cerebrum_inference_model_load_failures_total{{{_I},model="a"}}': failures,
        f'cerebrum_inference_model_loaded{{{_I},model="a"}}': loaded,
    }


def _statuses(unauthorized: str) -> dict[str, str]:
    family = f'cerebrum_inference_http_requests_total{{{_I},route="/v1/models",method="GET",outcome="ok"'
    return {f'{family},status="401"}}': unauthorized, f'{family},status="200"}}': "0+5x100"}


def _info(job: str, *releases: str) -> dict[str, str]:
    return {
        f'cerebrum_{job}_build_info{{job="{job}",instance="host{at}",release="{release}",version="0.1.0"}}': "1x60"
        for at, release in enumerate(releases)
    }


def _key(service: str, target: str, created: float) -> dict[str, str]:
    family = f"cerebrum_{service}_key_created_timestamp_seconds"
    return {f'{family}{{{target},key_id="pi.1a2b"}}': f"{created:.0f}x100"}


CASES: tuple[Case, ...] = (
    fires("EdgeDown", "edge away", {f"up{{{_E}}}": "0x20"}, labels=_EDGE),
    quiet("EdgeDown", "one scrape missed", {f"up{{{_E}}}": "0x4 1 0x4"}, "2m"),
    quiet("EdgeDown", "another job away", {f"up{{{_E}}}": "1x20", 'up{job="haproxy",instance="pi"}': "0x20"}, "4m"),
    fires("EdgeNotReady", "no backend", _ready("edge", _E, "0x20", "0x20"), labels=_EDGE),
    quiet("EdgeNotReady", "leaving", _ready("edge", _E, "0x20", "1x20"), "4m"),
    quiet("EdgeNotReady", "a moment", _ready("edge", _E, "0x6 1 0x6", "0x20"), "3m"),
    fires(
        "BackendDown",
        "one of two",
        {
            f'cerebrum_edge_backend_up{{{_E},backend="vps"}}': "0x30",
            f'cerebrum_edge_backend_up{{{_E},backend="other"}}': "1x30",
        },
        labels={**_EDGE, "backend": "vps"},
    ),
    quiet("BackendDown", "back again", {f'cerebrum_edge_backend_up{{{_E},backend="vps"}}': "0x10 1 0x10"}, "5m"),
    fires(
        "BreakerOpen",
        "stays open",
        {**_states("1x20", "0x20"), **_openings("1x20")},
        labels={**_EDGE, "backend": "vps", "state": "open"},
    ),
    fires(
        "BreakerOpen",
        "opens between scrapes",
        {**_states("0x60", "0x60"), **_openings("0x4 1x60")},
        since="75s",
        labels={**_EDGE, "backend": "vps", "state": "open"},
    ),
    fires(
        "BreakerOpen",
        "opened minutes ago",
        {**_states("0x60", "1x60"), **_openings("0x4 1x60")},
        since="4m",
        labels={**_EDGE, "backend": "vps", "state": "open"},
        sudden=False,
    ),
    quiet("BreakerOpen", "long closed again", {**_states("0x60", "1x60"), **_openings("0x4 1x60")}, "8m"),
    quiet("BreakerOpen", "closed after a try", {**_states("0x60", "1x60"), **_openings("5x60")}, "10m"),
    idle("BreakerOpen", "nothing is asked", {**_states("0x60", "1x60"), **_openings("0x60")}, "10m"),
    fires(
        "EdgeShedding",
        "five in a minute",
        {
            f'cerebrum_edge_shed_total{{{_E},reason="queue_full"}}': "0x20 4x60",
            f'cerebrum_edge_shed_total{{{_E},reason="queue_timeout"}}': "0x20 1x60",
        },
        since="5m",
        labels=_EDGE,
        value="5",
    ),
    *in_its_window("EdgeShedding", _shed, "10m", events=5, labels=_EDGE, value="5"),
    idle(
        "EdgeShedding",
        "four of ten an hour",
        {f'cerebrum_edge_shed_total{{{_E},reason="queue_full"}}': "0x20 4x60"},
        "6m",
    ),
    fires("InferenceDown", "service away", {f"up{{{_I}}}": "0x30"}, labels=_VPS),
    quiet("InferenceDown", "exchanged in two minutes", {f"up{{{_I}}}": "1 0x8 1x20"}, "3m"),
    fires("InferenceNotReady", "no model", _ready("inference", _I, "0x40", "0x40"), labels=_VPS),
    quiet("InferenceNotReady", "leaving", _ready("inference", _I, "0x40", "1x40"), "8m"),
    fires(
        "SlotsSaturated",
        "busy with a queue",
        _slots("2x400", "0x400", "1x400"),
        labels=_VPS,
        value="100%",
    ),
    fires(
        "SlotsSaturated",
        "busy after a rest",
        _slots("0x160 2x240", "2x160 0x240", "0x160 1x240"),
        since="3255s",
        labels=_VPS,
        value="100%",
        sudden=False,
    ),
    quiet("SlotsSaturated", "three of twenty are free", _slots("17x400", "3x400", "1x400"), "30m"),
    quiet("SlotsSaturated", "busy without a queue", _slots("2x400", "0x400", "0x400"), "30m"),
    quiet("SlotsSaturated", "a slot in two is free", _slots("1x400", "1x400", "1x400"), "30m"),
    quiet(
        "SlotsSaturated",
        "busy for eighteen minutes",
        _slots("0x60 2x72 0x60", "2x60 0x72 2x60", "0x60 1x72 0x60"),
        "32m",
    ),
    idle("SlotsSaturated", "no model in memory", _slots("0x400", "0x400", "1x400"), "30m"),
    fires(
        "InferenceRefusing",
        "memory thrice",
        _refused("0x4 3x80"),
        since="75s",
        labels={**_VPS, "reason": "memory"},
        value="3",
    ),
    *in_its_window(
        "InferenceRefusing", _refused, "15m", events=3, labels={**_VPS, "reason": "memory"}, value="3", step=30
    ),
    quiet("InferenceRefusing", "the queue is full", _refused("0x100", "0x4 9x90"), "3m"),
    idle("InferenceRefusing", "twice", _refused("0x4 2x90"), "3m"),
    fires(
        "ModelMissing",
        "file gone",
        {f'cerebrum_inference_model_available{{{_I},model="a"}}': "0x40"},
        labels={**_VPS, "model": "a"},
    ),
    quiet("ModelMissing", "it comes", {f'cerebrum_inference_model_available{{{_I},model="a"}}': "0x18 1x20"}, "7m"),
    fires(
        "ModelLoadFailing",
        "once and not loaded",
        _loads("0x4 1x40", "0x44"),
        since="75s",
        labels={**_VPS, "model": "a"},
    ),
    quiet("ModelLoadFailing", "loaded at the second try", _loads("0x4 1x40", "0x6 1x40"), "5m"),
    *in_its_window(
        "ModelLoadFailing", lambda counted: _loads(counted, "0x70"), "30m", labels={**_VPS, "model": "a"}, step=60
    ),
    idle("ModelLoadFailing", "nobody asks for it", _loads("0x40", "0x40"), "8m"),
    fires(
        "KeyRefused", "an edge that asks again", _statuses("_x4 1x9 2x9 3x9 4x60"), since="510s", labels=_VPS, value="3"
    ),
    *in_its_window("KeyRefused", _statuses, "10m", events=3, labels=_VPS, value="3"),
    quiet("KeyRefused", "others are answered", _statuses("7x60"), "10m"),
    idle("KeyRefused", "a stranger twice", _statuses("0x4 2x60"), "3m"),
    fires(
        "KeyOld",
        "an edge's key",
        _key("inference", _I, -181 * _DAY),
        labels={**_VPS, "key_id": "pi.1a2b"},
        value="181",
    ),
    fires(
        "KeyOld", "a client's key", _key("edge", _E, -200 * _DAY), labels={**_EDGE, "key_id": "pi.1a2b"}, value="200"
    ),
    quiet("KeyOld", "a day left", {**_key("inference", _I, -179 * _DAY), **_key("edge", _E, -10 * _DAY)}, "20m"),
    fires(
        "ReleaseDiffers",
        "two of three",
        _info("inference", "0.1.0-aa-3fa9.11111111", "0.1.0-bb-3fa9.22222222", "0.1.0-aa-3fa9.33333333"),
        labels={"job": "inference"},
        value="2",
        step=60,
    ),
    quiet(
        "ReleaseDiffers",
        "other configurations",
        _info("inference", "0.1.0-662d6e25ff38.11111111", "0.1.0-662d6e25ff38.22222222"),
        "40m",
        step=60,
    ),
    quiet(
        "ReleaseDiffers",
        "other machines",
        _info("inference", "0.1.0-662d6e2-3fa9.11111111", "0.1.0-662d6e2-vulkan-0b17.22222222"),
        "40m",
        step=60,
    ),
    quiet(
        "ReleaseDiffers", "other jobs", {**_info("edge", "0.1.0-aa"), **_info("inference", "0.1.0-bb")}, "40m", step=60
    ),
    fires(
        "RestartLoop",
        "three times",
        {f"process_start_time_seconds{{{_E}}}": "1x8 100x8 200x8 300x40"},
        since="405s",
        labels=_EDGE,
        value="3",
    ),
    *in_its_window("RestartLoop", _starts, "30m", samples="1x4 2 3 4", labels=_EDGE, value="3", step=60),
    quiet("RestartLoop", "an upgrade and back", {f"process_start_time_seconds{{{_E}}}": "1x8 100x8 200x40"}, "10m"),
    fires(
        "ProbeFailing",
        "two rounds",
        {f"cerebrum_probe_success{{{_N}}}": "0x60"},
        labels=_PROBE,
    ),
    quiet("ProbeFailing", "one round", {f"cerebrum_probe_success{{{_N}}}": "1x10 0x20 1x20"}, "7m"),
    fires(
        "ProbeStale",
        "timer stopped",
        {f"cerebrum_probe_last_run_timestamp_seconds{{{_N}}}": "0x80"},
        since="915s",
        labels=_PROBE,
        value="15m 30s",
    ),
    quiet("ProbeStale", "two rounds missed", {f"cerebrum_probe_last_run_timestamp_seconds{{{_N}}}": "0x100"}, "14m"),
    fires("ProbeMissing", "never ran", {f"up{{{_E}}}": "1x90", f"up{{{_N}}}": "1x90"}, labels={}),
    quiet(
        "ProbeMissing",
        "it ran",
        {f"up{{{_E}}}": "1x90", f"up{{{_N}}}": "1x90", f"cerebrum_probe_last_run_timestamp_seconds{{{_N}}}": "0x90"},
        "20m",
    ),
    quiet("ProbeMissing", "its host cannot be read", {f"up{{{_E}}}": "1x90", f"up{{{_N}}}": "0x90"}, "20m"),
    quiet("ProbeMissing", "no edge", {f"up{{{_I}}}": "1x90", f"up{{{_N}}}": "1x90"}, "20m"),
)
