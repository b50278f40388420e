"""Cases for the alerts of the hosts."""

from __future__ import annotations

from collections.abc import Callable

from support.alert_cases.case import Case, fires, in_its_window, quiet

_VPS = {"job": "node", "instance": "vps"}
_N = 'job="node",instance="vps"'
_ROOT = {**_VPS, "device": "/dev/sda1", "fstype": "ext4", "mountpoint": "/"}
_D = f'{_N},device="/dev/sda1",fstype="ext4",mountpoint="/"'
_DAY = 86400


def _disk(left: str, labels: str = _D) -> dict[str, str]:
    """A file system of 1,000 bytes."""
    return {f"node_filesystem_avail_bytes{{{labels}}}": left, f"node_filesystem_size_bytes{{{labels}}}": "1000x500"}


def _inodes(left: str, of: str = "1000x80") -> dict[str, str]:
    return {f"node_filesystem_files_free{{{_D}}}": left, f"node_filesystem_files{{{_D}}}": of}


def _memory(available: str) -> dict[str, str]:
    return {f"node_memory_MemAvailable_bytes{{{_N}}}": available, f"node_memory_MemTotal_bytes{{{_N}}}": "1000x40"}


def _zone(values: str) -> dict[str, str]:
    return {f'node_thermal_zone_temp{{{_N},zone="0",type="cpu"}}': values}


def _throttled(reason: str, when: str, values: str) -> dict[str, str]:
    return {f'cerebrum_pi_throttled{{{_N},reason="{reason}",when="{when}"}}': values}


def _timex(status: str, error: str) -> dict[str, str]:
    return {f"node_timex_sync_status{{{_N}}}": status, f"node_timex_maxerror_seconds{{{_N}}}": error}


def _single(family: str, labels: str = _N) -> Callable[[str], dict[str, str]]:
    return lambda values: {f"{family}{{{labels}}}": values}


def _unit(name: str, state: str) -> dict[str, str]:
    return {f'node_systemd_unit_state{{{_N},name="{name}",state="{state}",type="simple"}}': "1x20"}


def _until(family: str, days: float, labels: str = _N) -> dict[str, str]:
    return {f"{family}{{{labels}}}": f"{days * _DAY:.0f}x80"}


_KEY, _CERTIFICATE = "cerebrum_tailnet_key_expiry_timestamp_seconds", "cerebrum_certificate_not_after_timestamp_seconds"
_PEM = {**_VPS, "path": "/etc/ssl/edge.pem"}
_P = f'{_N},path="/etc/ssl/edge.pem"'
_FILE = {**_VPS, "file": "/var/lib/prometheus/node-exporter/pi.prom"}
_F = f'{_N},file="{_FILE["file"]}"'

CASES: tuple[Case, ...] = (
    fires(
        "HostDown",
        "nothing answers",
        {f"up{{{_N}}}": "0x20", 'up{job="inference",instance="vps"}': "0x20", 'up{job="node",instance="pi"}': "1x20"},
        labels={"instance": "vps"},
    ),
    quiet(
        "HostDown", "one of two answers", {f"up{{{_N}}}": "1x20", 'up{job="inference",instance="vps"}': "0x20"}, "4m"
    ),
    quiet("HostDown", "a moment", {f"up{{{_N}}}": "0x6 1 0x6"}, "3m"),
    fires("TargetDown", "exporter away", {f"up{{{_N}}}": "0x40"}, labels=_VPS),
    quiet("TargetDown", "a service has its own", {'up{job="edge",instance="pi"}': "0x40", f"up{{{_N}}}": "1x40"}, "8m"),
    fires("DiskFull", "96 percent", _disk("40x40"), labels=_ROOT, value="96%"),
    quiet("DiskFull", "94 percent", _disk("60x40"), "8m"),
    quiet("DiskFull", "a mount below run", _disk("0x40", _D.replace('"/"', '"/run/user/0"')), "8m"),
    fires("DiskAlmostFull", "86 percent", _disk("140x80"), labels=_ROOT, value="86%"),
    quiet("DiskAlmostFull", "84 percent", _disk("160x80"), "19m"),
    fires(
        "DiskFilling",
        "gone in hours",
        _disk("399-0.28x500"),
        since="1m",
        labels=_ROOT,
        step=60,
    ),
    quiet("DiskFilling", "gone in a day and more", _disk("399-0.235x500"), "3h", step=60),
    quiet("DiskFilling", "too much is free", _disk("440-0.3x200"), "80m", step=60),
    fires("InodesFull", "91 percent", _inodes("90x80"), labels=_ROOT, value="91%"),
    quiet("InodesFull", "89 percent", _inodes("110x80"), "19m"),
    quiet("InodesFull", "a file system without", _inodes("0x80", "0x80"), "19m"),
    fires(
        "DiskReadOnly", "since a minute", {f"node_filesystem_readonly{{{_D}}}": "0x20 1x20"}, since="315s", labels=_ROOT
    ),
    *in_its_window("DiskReadOnly", _single("node_filesystem_readonly", _D), "1d", labels=_ROOT, step=1800),
    quiet("DiskReadOnly", "it always was", {f"node_filesystem_readonly{{{_D}}}": "1x40"}, "8m"),
    fires(
        "CardWornOut",
        "nine tenths",
        {f'cerebrum_sd_life_used_ratio{{{_N},device="mmcblk0"}}': "0.9x80"},
        labels={**_VPS, "device": "mmcblk0"},
        value="90%",
    ),
    quiet("CardWornOut", "eight tenths", {f'cerebrum_sd_life_used_ratio{{{_N},device="mmcblk0"}}': "0.8x80"}, "19m"),
    fires("MemoryLow", "4 percent", _memory("40x40"), labels=_VPS, value="4%"),
    quiet("MemoryLow", "6 percent", _memory("60x40"), "9m"),
    fires("OutOfMemory", "one ended", {f"node_vmstat_oom_kill{{{_N}}}": "3x4 4x40"}, since="75s", labels=_VPS),
    *in_its_window("OutOfMemory", _single("node_vmstat_oom_kill"), "15m", labels=_VPS, step=30),
    fires(
        "HostHot",
        "one zone of two",
        {**_zone("85x40"), f'node_hwmon_temp_celsius{{{_N},chip="a",sensor="temp1"}}': "40x40"},
        labels=_VPS,
        value="85",
    ),
    fires(
        "HostHot",
        "a sensor",
        {f'node_hwmon_temp_celsius{{{_N},chip="a",sensor="temp1"}}': "81x40"},
        labels=_VPS,
        value="81",
    ),
    quiet(
        "HostHot",
        "79 degrees",
        {**_zone("79x40"), f'node_hwmon_temp_celsius{{{_N},chip="a",sensor="temp1"}}': "79x40"},
        "9m",
    ),
    quiet(
        "HostHot",
        "a minute of work",
        {**_zone("70x4 85x10 70x40"), f'node_hwmon_temp_celsius{{{_N},chip="a",sensor="temp1"}}': "40x60"},
        "6m",
    ),
    fires(
        "PiThrottled",
        "now",
        _throttled("undervoltage", "now", "1x40"),
        labels={**_VPS, "reason": "undervoltage", "when": "now"},
    ),
    quiet(
        "PiThrottled",
        "it was",
        {**_throttled("throttled", "now", "0x40"), **_throttled("throttled", "since_boot", "1x40")},
        "9m",
    ),
    fires(
        "PiUndervoltage",
        "once",
        _throttled("undervoltage", "since_boot", "1x40"),
        labels={**_VPS, "reason": "undervoltage", "when": "since_boot"},
    ),
    quiet(
        "PiUndervoltage",
        "heat",
        {**_throttled("undervoltage", "since_boot", "0x40"), **_throttled("throttled", "since_boot", "1x40")},
        "9m",
    ),
    fires("ClockSkewed", "ahead", {f"node_time_seconds{{{_N}}}": "5+15x40"}, labels=_VPS, value="5"),
    fires("ClockSkewed", "behind", {f"node_time_seconds{{{_N}}}": "-4+15x40"}, labels=_VPS, value="4"),
    quiet("ClockSkewed", "two seconds", {f"node_time_seconds{{{_N}}}": "2+15x40"}, "9m"),
    fires("ClockUnsynchronised", "no server", _timex("0x80", "16x80"), labels=_VPS),
    quiet("ClockUnsynchronised", "not yet far", _timex("0x80", "15x80"), "19m"),
    quiet("ClockUnsynchronised", "now and then", _timex("0x20 1 0x20 1 0x20 1 0x20", "16x80"), "19m"),
    fires(
        "UnitFailed",
        "the tunnel",
        _unit("cerebrum-tunnel@vps.service", "failed"),
        labels={**_VPS, "name": "cerebrum-tunnel@vps.service", "state": "failed", "type": "simple"},
    ),
    quiet("UnitFailed", "somebody else's", _unit("motd-news.service", "failed"), "4m"),
    quiet("UnitFailed", "active", _unit("cerebrum-edge@1.service", "active"), "4m"),
    fires(
        "RebootLoop",
        "three times",
        {f"node_context_switches_total{{{_N}}}": "900+1x8 0+1x8 0+1x8 0+1x40"},
        since="405s",
        labels=_VPS,
        value="3",
    ),
    *in_its_window(
        "RebootLoop",
        _single("node_context_switches_total"),
        "1h",
        samples="900x4 3 2 1",
        labels=_VPS,
        value="3",
        step=60,
    ),
    quiet("RebootLoop", "twice", {f"node_context_switches_total{{{_N}}}": "900+1x8 0+1x8 0+1x40"}, "10m"),
    fires("TailnetDown", "away", {f"cerebrum_tailnet_up{{{_N}}}": "0x40"}, labels=_VPS),
    quiet("TailnetDown", "back", {f"cerebrum_tailnet_up{{{_N}}}": "0x18 1 0x10"}, "7m"),
    fires("TailnetKeyExpiring", "13 days", _until(_KEY, 13.2), labels=_VPS, value="13"),
    quiet("TailnetKeyExpiring", "15 days", _until(_KEY, 15), "19m"),
    fires("CertificateExpiring", "20 days", _until(_CERTIFICATE, 20.2, _P), labels=_PEM, value="20"),
    quiet("CertificateExpiring", "22 days", _until(_CERTIFICATE, 22, _P), "19m"),
    fires("CertificateExpired", "a second ago", {f"{_CERTIFICATE}{{{_P}}}": "60x80"}, since="60s", labels=_PEM),
    quiet("CertificateExpired", "an hour left", {f"{_CERTIFICATE}{{{_P}}}": "3600x80"}, "19m"),
    fires(
        "TextfileStale",
        "half an hour",
        {f"node_textfile_mtime_seconds{{{_F}}}": "0x60"},
        since="1860s",
        labels=_FILE,
        value="37m 0s",
        step=60,
    ),
    quiet(
        "TextfileStale",
        "written again in time",
        {f"node_textfile_mtime_seconds{{{_F}}}": "0x25 1500x30"},
        "50m",
        step=60,
    ),
    fires("TextfileBroken", "not readable", {f"node_textfile_scrape_error{{{_N}}}": "1x40"}, labels=_VPS),
    quiet("TextfileBroken", "mended", {f"node_textfile_scrape_error{{{_N}}}": "1x18 0x20"}, "7m"),
)
