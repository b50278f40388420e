"""The machines below: processor, memory, disks, heat, the tailnet, units; and how the monitoring itself is."""

from __future__ import annotations

from monitoring.dashboards.board import Section, board
from monitoring.dashboards.panels import (
    NONE_IS_GOOD,
    ONE_IS_GOOD,
    Json,
    Panel,
    Query,
    above,
    below,
    stat,
    table,
    timeseries,
)
from monitoring.dashboards.promql import Scope, age, average, highest, increase, lowest, rate, share, total
from monitoring.dashboards.units import Unit

NODE = Scope("", "node_uname_info", "Host")
PROMETHEUS = Scope("prometheus_", "prometheus_build_info", "Prometheus")
ALERTMANAGER = Scope("alertmanager_", "alertmanager_build_info", "Alertmanager")
# What is in memory, or another view of what is counted already.
_DISKS = 'fstype!~"tmpfs|ramfs|squashfs"'
_ABSENT = "does not tell"
_DAY = 86400


def dashboard() -> Json:
    return board(
        "cerebrum-hosts",
        "Cerebrum: hosts",
        "Processor, memory, disks, temperature, throttling, tailnet and units of every host.",
        scopes=(NODE, PROMETHEUS, ALERTMANAGER),
        sections=(
            Section("Now", _now()),
            Section("Processor and memory", _processor()),
            Section("Disks", _disks()),
            Section("Heat and power", _heat()),
            Section("Network", _network()),
            Section("Units and certificates", _units()),
            Section("The monitoring itself", _monitoring()),
        ),
    )


def _now() -> list[Panel]:
    free = share(NODE("node_filesystem_avail_bytes", _DISKS), NODE("node_filesystem_size_bytes", _DISKS))
    return [
        stat(
            "Up for",
            "Since the host that started last did.",
            Query(lowest(age(NODE("node_boot_time_seconds")))),
            unit=Unit.SECONDS,
            decimals=0,
        ),
        stat(
            "Fullest disk",
            "Space that is left on the fullest file system of all hosts.",
            Query(lowest(free)),
            unit=Unit.RATIO,
            levels=below(0.1, 0.2),
        ),
        stat(
            "Hottest",
            "The highest temperature of all sensors. A Pi slows down at 80 °C.",
            Query(
                f"max({NODE('node_thermal_zone_temp')} or {NODE('node_hwmon_temp_celsius')})",
            ),
            unit=Unit.CELSIUS,
            levels=above(70, 80),
            quiet="no sensor",
            decimals=0,
        ),
        stat(
            "Throttled now",
            "Reasons for which a Pi is slowed down at this moment.",
            Query(total(NODE("cerebrum_pi_throttled", 'when="now"'))),
            unit=Unit.COUNT,
            levels=NONE_IS_GOOD,
            quiet=_ABSENT,
        ),
        stat(
            "Tailnet",
            "Whether every host that is in a tailnet is connected to it.",
            Query(lowest(NODE("cerebrum_tailnet_up"))),
            unit=Unit.STATE,
            levels=ONE_IS_GOOD,
            names={0: ("down", "red"), 1: ("up", "green")},
            quiet=_ABSENT,
        ),
        stat(
            "Units that failed",
            "systemd units in state `failed`, of those that are watched, on all hosts.",
            Query(total(NODE("node_systemd_unit_state", 'state="failed"'))),
            unit=Unit.COUNT,
            levels=NONE_IS_GOOD,
            quiet=_ABSENT,
        ),
    ]


def _processor() -> list[Panel]:
    idle = average(rate(NODE("node_cpu_seconds_total", 'mode="idle"')), "instance")
    steal = average(rate(NODE("node_cpu_seconds_total", 'mode="steal"')), "instance")
    free = share(NODE("node_memory_MemAvailable_bytes"), NODE("node_memory_MemTotal_bytes"))
    swap = f"{NODE('node_memory_SwapTotal_bytes')} - {NODE('node_memory_SwapFree_bytes')}"
    return [
        timeseries(
            "Processor",
            "Share of all cores that works; what the machine's other guests take from a VPS is steal.",
            Query(f"1 - {idle}", "{{instance}}"),
            Query(steal, "{{instance}}, steal"),
            unit=Unit.RATIO,
            most=1,
        ),
        timeseries(
            "Load",
            "Processes that run or wait, over one minute.",
            Query(NODE("node_load1"), "{{instance}}"),
            unit=Unit.COUNT,
        ),
        timeseries(
            "Waiting for a core",
            "Share of time in which something had to wait. A kernel without PSI does not tell: a Raspberry Pi's, "
            "unless it is told `psi=1`.",
            Query(rate(NODE("node_pressure_cpu_waiting_seconds_total")), "{{instance}}"),
            unit=Unit.RATIO,
            most=1,
        ),
        timeseries(
            "Memory in use",
            "What is not available to new programs.",
            Query(f"1 - {free}", "{{instance}}"),
            unit=Unit.RATIO,
            most=1,
            levels=above(0.85, 0.95),
        ),
        timeseries(
            "Swap in use",
            "On a Pi that is compressed memory (zram).",
            Query(swap, "{{instance}}"),
            unit=Unit.BYTES,
        ),
        timeseries(
            "Killed for want of memory",
            "Processes that the kernel ended.",
            Query(increase(NODE("node_vmstat_oom_kill")), "{{instance}}"),
            unit=Unit.COUNT,
        ),
    ]


def _disks() -> list[Panel]:
    free = share(NODE("node_filesystem_avail_bytes", _DISKS), NODE("node_filesystem_size_bytes", _DISKS))
    busy = rate(NODE("node_disk_io_time_seconds_total"))
    return [
        timeseries(
            "Disks in use",
            "Share of each file system.",
            Query(f"1 - {free}", "{{instance}} {{mountpoint}}"),
            unit=Unit.RATIO,
            most=1,
            levels=above(0.8, 0.9),
        ),
        timeseries(
            "Reads and writes",
            "Bytes a second of all disks. SD cards live by what is written.",
            Query(total(rate(NODE("node_disk_read_bytes_total")), "instance"), "{{instance}}, read"),
            Query(total(rate(NODE("node_disk_written_bytes_total")), "instance"), "{{instance}}, written"),
            unit=Unit.BYTES_A_SECOND,
        ),
        timeseries(
            "Busy",
            "Share of time in which a disk had work.",
            Query(highest(busy, "instance"), "{{instance}}"),
            unit=Unit.RATIO,
            most=1,
        ),
        table(
            "Life of SD cards and eMMC",
            "How much of it is used up, as the card itself says. Most SD cards do not.",
            Query(NODE("cerebrum_sd_life_used_ratio")),
            unit=Unit.RATIO,
            columns={"instance": "Host", "device": "Device", "Value": "Used up"},
            levels=above(0.7, 0.9),
        ),
        table(
            "File systems",
            "Space that is left.",
            Query(NODE("node_filesystem_avail_bytes", _DISKS)),
            unit=Unit.BYTES,
            columns={"instance": "Host", "mountpoint": "At", "fstype": "Kind", "Value": "Left"},
        ),
    ]


def _heat() -> list[Panel]:
    return [
        timeseries(
            "Temperature",
            "Of every sensor.",
            Query(NODE("node_thermal_zone_temp"), "{{instance}} {{type}} {{zone}}"),
            Query(NODE("node_hwmon_temp_celsius"), "{{instance}} {{chip}} {{sensor}}"),
            unit=Unit.CELSIUS,
            levels=above(70, 80),
        ),
        timeseries(
            "Slowed down",
            "1 while a Pi is held back: by its power supply, by its temperature.",
            Query(NODE("cerebrum_pi_throttled", 'when="now"'), "{{instance}} {{reason}}"),
            unit=Unit.STATE,
            steps=True,
            most=1,
        ),
        table(
            "Slowed down since it started",
            "`undervoltage` that ever was: get a better power supply.",
            Query(NODE("cerebrum_pi_throttled", 'when="since_boot"')),
            unit=Unit.STATE,
            columns={"instance": "Host", "reason": "Reason", "Value": "Was"},
            names={0: ("never", "green"), 1: ("yes", "orange")},
            width=8,
        ),
    ]


def _network() -> list[Panel]:
    devices = 'device!="lo"'
    return [
        timeseries(
            "Received and sent",
            "Bytes a second of all interfaces but the loopback.",
            Query(total(rate(NODE("node_network_receive_bytes_total", devices)), "instance"), "{{instance}}, in"),
            Query(total(rate(NODE("node_network_transmit_bytes_total", devices)), "instance"), "{{instance}}, out"),
            unit=Unit.BYTES_A_SECOND,
        ),
        timeseries(
            "Tailnet by host",
            "1 while the host is connected.",
            Query(NODE("cerebrum_tailnet_up"), "{{instance}}"),
            unit=Unit.STATE,
            steps=True,
            most=1,
        ),
        table(
            "Keys of the tailnet",
            "How long until each host's key expires and it falls out. Hosts whose key does not expire are not here.",
            Query(f"{NODE('cerebrum_tailnet_key_expiry_timestamp_seconds')} - time()"),
            unit=Unit.SECONDS,
            columns={"instance": "Host", "Value": "Left"},
            levels=below(3 * _DAY, 14 * _DAY),
            width=8,
        ),
    ]


def _units() -> list[Panel]:
    return [
        table(
            "Units",
            "Which of Cerebrum's units and of the monitoring's own are active.",
            Query(NODE("node_systemd_unit_state", 'name=~"(cerebrum-|prometheus).+"', 'state="active"')),
            unit=Unit.STATE,
            columns={"instance": "Host", "name": "Unit", "Value": "Active"},
            names={0: ("no", "text"), 1: ("yes", "green")},
            width=8,
        ),
        timeseries(
            "Failed units by host",
            "Units in state `failed`, of those that are watched.",
            Query(total(NODE("node_systemd_unit_state", 'state="failed"'), "instance"), "{{instance}}"),
            unit=Unit.COUNT,
            steps=True,
        ),
        table(
            "Certificates",
            "How long each is valid still.",
            Query(f"{NODE('cerebrum_certificate_not_after_timestamp_seconds')} - time()"),
            unit=Unit.SECONDS,
            columns={"instance": "Host", "path": "File", "Value": "Left"},
            levels=below(7 * _DAY, 21 * _DAY),
            width=8,
        ),
        table(
            "Clocks",
            "How far each host's clock is off, as its time service says.",
            Query(NODE("node_timex_offset_seconds")),
            unit=Unit.SECONDS,
            columns={"instance": "Host", "Value": "Off by"},
        ),
        table(
            "Files of the text collector",
            "When each was written. Old ones: a timer does not run.",
            Query(age(NODE("node_textfile_mtime_seconds"))),
            unit=Unit.SECONDS,
            columns={"instance": "Host", "file": "File", "Value": "Age"},
        ),
    ]


def _monitoring() -> list[Panel]:
    failed = total(increase(ALERTMANAGER("alertmanager_notifications_failed_total")), "integration")
    return [
        timeseries(
            "Series",
            "That Prometheus holds in memory.",
            Query(PROMETHEUS("prometheus_tsdb_head_series"), "{{instance}}"),
            unit=Unit.COUNT,
        ),
        timeseries(
            "Memory",
            "Of Prometheus and of Alertmanager.",
            Query(PROMETHEUS("process_resident_memory_bytes"), "{{instance}} Prometheus"),
            Query(ALERTMANAGER("process_resident_memory_bytes"), "{{instance}} Alertmanager"),
            unit=Unit.BYTES,
        ),
        timeseries(
            "A scrape takes",
            "Of every target.",
            Query("scrape_duration_seconds", "{{job}} {{instance}}"),
            unit=Unit.SECONDS,
        ),
        timeseries(
            "Rules that failed",
            "Evaluations; more than none means that alerts are missing.",
            Query(total(increase(PROMETHEUS("prometheus_rule_evaluation_failures_total")), "instance"), "{{instance}}"),
            unit=Unit.COUNT,
        ),
        timeseries(
            "Notifications that failed",
            "By kind of receiver.",
            Query(failed, "{{integration}}"),
            unit=Unit.COUNT,
            stacked=True,
        ),
        stat(
            "Disk of Prometheus",
            "What its blocks take; the write-ahead log comes on top.",
            Query(total(PROMETHEUS("prometheus_tsdb_storage_blocks_bytes"))),
            unit=Unit.BYTES,
        ),
        stat(
            "Alerts at Alertmanager",
            "That it holds and has not suppressed.",
            Query(total(ALERTMANAGER("alertmanager_alerts", 'state="active"'))),
            unit=Unit.COUNT,
        ),
    ]
