"""Alerts of the machines: what node_exporter and the textfile collector know."""

from __future__ import annotations

from monitoring.model import Alert, Group
from monitoring.thresholds import threshold

_DISKS = '{fstype!~"squashfs|iso9660|ramfs",mountpoint!~"/run/.*|/boot/.*"}'
_USED = f"1 - node_filesystem_avail_bytes{_DISKS}\n  / node_filesystem_size_bytes{_DISKS}"
_MAKE_ROOM = "First: `journalctl --vacuum-size=200M`, `apt-get clean`, then `du -xh / | sort -h | tail`."


def groups() -> tuple[Group, ...]:
    return (Group("cerebrum-hosts", REACH), Group("cerebrum-disks", DISKS), Group("cerebrum-machines", MACHINES),
            Group("cerebrum-network", NETWORK), Group("cerebrum-textfiles", TEXTFILES))  # fmt: skip


REACH = (
    Alert(
        "HostDown",
        "page",
        "max by (instance) (up) == 0",
        "{{ $labels.instance }} cannot be reached",
        "Nothing on it answers Prometheus: the host is off or hangs, or the way to it is cut. "
        "First: ping and ssh; then the provider's console, or the machine's power.",
        lasting="2m",
        labels={"backend": "{{ $labels.instance }}"},  # as edges call it; see the inhibitions
    ),
    Alert(
        "TargetDown",
        "ticket",
        'up{job!~"edge|inference"} == 0',
        "{{ $labels.job }} on {{ $labels.instance }} does not answer Prometheus",
        "What it measures is not known meanwhile, and alerts that are made of it cannot fire. "
        "First: `systemctl --failed` there, then the firewall between the two.",
        lasting="5m",
    ),
)

DISKS = (
    Alert(
        "DiskFull",
        "page",
        f"{_USED}\n> {threshold('disk_full_ratio')}",
        "{{ $labels.mountpoint }} of {{ $labels.instance }} is full",
        "{{ $value | humanizePercentage }} of it is used; services fail where they cannot write. " + _MAKE_ROOM,
        lasting="2m",
    ),
    Alert(
        "DiskAlmostFull",
        "ticket",
        f"{_USED}\n> {threshold('disk_almost_full_ratio')}",
        "{{ $labels.mountpoint }} of {{ $labels.instance }} is almost full",
        "{{ $value | humanizePercentage }} of it is used. " + _MAKE_ROOM,
        lasting="15m",
    ),
    Alert(
        "DiskFilling",
        "ticket",
        f"predict_linear(node_filesystem_avail_bytes{_DISKS}[6h], 86400) < 0\n"
        f"and node_filesystem_avail_bytes{_DISKS}\n  / node_filesystem_size_bytes{_DISKS} < 0.4",
        "{{ $labels.mountpoint }} of {{ $labels.instance }} will be full within a day",
        "That is where the last hours lead. First: `du -xh / | sort -h | tail` twice: what grows?",
        lasting="1h",
    ),
    Alert(
        "InodesFull",
        "ticket",
        f"1 - node_filesystem_files_free{_DISKS}\n  / (node_filesystem_files{_DISKS} > 0)\n"
        f"> {threshold('inodes_used_ratio')}",
        "{{ $labels.mountpoint }} of {{ $labels.instance }} can hold few more files",
        "{{ $value | humanizePercentage }} of its inodes are used, whatever room there is. "
        "First: `du --inodes -x / | sort -n | tail` finds where the many small files are.",
        lasting="15m",
    ),
    Alert(
        "DiskReadOnly",
        "page",
        # What always was read-only is meant to be.
        f"node_filesystem_readonly{_DISKS} == 1\nand min_over_time(node_filesystem_readonly{_DISKS}[1d]) == 0",
        "{{ $labels.mountpoint }} of {{ $labels.instance }} has become read-only",
        "The kernel does that when a disk fails; on a Pi, the SD card is dying. "
        "First: `dmesg | grep -i -e ext4 -e mmc`, and save what is on it: `playbooks/backup.yml`.",
        lasting="1m",
    ),
    Alert(
        "CardWornOut",
        "ticket",
        f"cerebrum_sd_life_used_ratio > {threshold('card_worn_ratio')}",
        "{{ $labels.device }} of {{ $labels.instance }} is near its end",
        "It has lived {{ $value | humanizePercentage }} of its life by its own count. "
        "First: `playbooks/backup.yml`, and a new card.",
        lasting="15m",
    ),
)

MACHINES = (
    Alert(
        "MemoryLow",
        "ticket",
        f"node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes < {threshold('memory_available_ratio')}",
        "{{ $labels.instance }} is short of memory",
        "{{ $value | humanizePercentage }} of it is available. The kernel will end a process when there is none. "
        "First: `ps aux --sort -rss | head` there.",
        lasting="5m",
    ),
    Alert(
        "OutOfMemory",
        "ticket",
        "increase(node_vmstat_oom_kill[15m]) > 0.5",
        "{{ $labels.instance }} ran out of memory",
        "The kernel ended a process. First: `journalctl -k | grep -i 'out of memory'` there tells which one.",
    ),
    Alert(
        "HostHot",
        "ticket",
        "max by (job, instance) (node_thermal_zone_temp or node_hwmon_temp_celsius) > "
        f"{threshold('temperature_celsius')}",
        "{{ $labels.instance }} is hot",
        '{{ $value | printf "%.0f" }} °C. It slows itself down, and answers with it. '
        "First: is the fan turning, is the case free?",
        lasting="5m",
    ),
    Alert(
        "PiThrottled",
        "ticket",
        'cerebrum_pi_throttled{when="now"} == 1',
        "{{ $labels.instance }} is held back: {{ $labels.reason }}",
        "The Pi's firmware slows it down, because of heat or a weak power supply. "
        "First: `vcgencmd get_throttled` and `vcgencmd measure_temp` there.",
        lasting="5m",
    ),
    Alert(
        "PiUndervoltage",
        "ticket",
        'cerebrum_pi_throttled{reason="undervoltage",when="since_boot"} == 1',
        "{{ $labels.instance }} had too little voltage since it started",
        "That damages what is on SD cards. It is told until the next start. "
        "First: a power supply and a cable that are made for this Pi.",
    ),
    Alert(
        "ClockSkewed",
        "ticket",
        f"abs(node_time_seconds - timestamp(node_time_seconds)) > {threshold('clock_skew_seconds')}",
        "The clock of {{ $labels.instance }} is wrong",
        'It differs from Prometheus\' host by {{ $value | printf "%.0f" }} s; logs of hosts cannot be compared, and '
        "certificates and tailnets fail. First: `timedatectl` on both.",
        lasting="5m",
    ),
    Alert(
        "ClockUnsynchronised",
        "ticket",
        "node_timex_sync_status == 0 and node_timex_maxerror_seconds >= 16",
        "Nothing sets the clock of {{ $labels.instance }}",
        "The kernel has had no time from a server for long. "
        "First: `timedatectl timesync-status` there; can it reach its servers?",
        lasting="15m",
    ),
    Alert(
        "UnitFailed",
        "ticket",
        'node_systemd_unit_state{name=~"cerebrum-.+|prometheus.*|grafana-server.*|haproxy.*|tailscaled.*",'
        'state="failed"} == 1',
        "{{ $labels.name }} on {{ $labels.instance }} has failed",
        "systemd has given it up and will not start it again. First: `journalctl -u {{ $labels.name }} -n 50` there.",
        lasting="2m",
    ),
    Alert(
        "RebootLoop",
        "ticket",
        # A counter of the kernel's that begins anew with each start.
        "resets(node_context_switches_total[1h]) > 2.5",
        "{{ $labels.instance }} starts again and again",
        "{{ $value }} times in an hour. First: the power supply; then `journalctl -b -1 -n 50` there, and `last -x`.",
    ),
)

NETWORK = (
    Alert(
        "TailnetDown",
        "page",
        "cerebrum_tailnet_up == 0",
        "{{ $labels.instance }} is not in the tailnet",
        "Other hosts cannot reach it there. First: `tailscale status` on it.",
        lasting="5m",
    ),
    Alert(
        "TailnetKeyExpiring",
        "ticket",
        f"(cerebrum_tailnet_key_expiry_timestamp_seconds - time()) / 86400 < {threshold('tailnet_key_days')}",
        "The tailnet key of {{ $labels.instance }} ends soon",
        'In {{ $value | printf "%.0f" }} days the host is no longer in the tailnet. '
        "First: renew it, or have it not expire: docs/tailnet.md.",
        lasting="15m",
    ),
    Alert(
        "CertificateExpiring",
        "ticket",
        f"(cerebrum_certificate_not_after_timestamp_seconds - time()) / 86400 < {threshold('certificate_days')}",
        "The certificate {{ $labels.path }} on {{ $labels.instance }} ends soon",
        'In {{ $value | printf "%.0f" }} days clients refuse it. First: why was it not renewed by itself?',
        lasting="15m",
    ),
    Alert(
        "CertificateExpired",
        "page",
        "cerebrum_certificate_not_after_timestamp_seconds - time() <= 0",
        "The certificate {{ $labels.path }} on {{ $labels.instance }} has ended",
        "Clients refuse it now. First: renew it, and reload what serves it.",
    ),
)

TEXTFILES = (
    Alert(
        "TextfileStale",
        "ticket",
        f"time() - node_textfile_mtime_seconds > {threshold('textfile_stale_seconds')}",
        "{{ $labels.file }} on {{ $labels.instance }} is not written any more",
        "It is {{ $value | humanizeDuration }} old; what it says may have changed since. "
        "First: `systemctl list-timers` there, and the journal of the unit that writes it.",
        lasting="5m",
    ),
    Alert(
        "TextfileBroken",
        "ticket",
        "node_textfile_scrape_error == 1",
        "A file of the textfile collector on {{ $labels.instance }} cannot be read",
        "node_exporter leaves out what it holds. First: `journalctl -u prometheus-node-exporter -n 20` there names it.",
        lasting="5m",
    ),
)
