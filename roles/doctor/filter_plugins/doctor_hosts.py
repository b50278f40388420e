"""What `playbooks/doctor.yml` finds on each host by itself, from what it said: verdicts, and what to do. No I/O.

A verdict is ok, TROUBLE, note (works, and wants to be known), or `-`: not asked, since something before it is broken.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

CLOCK_SECONDS = 3.0
DISK_BYTES = 500 * 1024**2
SMALL_DISK = 0.1
INODES = 0.01
MEMORY = 0.03
OK, TROUBLE, NOTE, UNASKED = "ok", "TROUBLE", "note", "-"


class Check(NamedTuple):
    verdict: str
    name: str
    message: str
    mend: str = ""


def findings(hosts: dict[str, dict[str, Any]]) -> list[list[str]]:
    """Every check of every host by itself, edges first: verdict, host, check, what was found, what to do.

    Args:
        hosts: for each, `groups`, `transport`, `firewall` (whether it is wanted), `found` (the outcome of its survey).
    """
    rows = []
    for host in sorted(hosts, key=lambda one: ("edge" not in hosts[one]["groups"], one)):
        rows += [[one.verdict, host, one.name, one.message, one.mend] for one in _checks(hosts[host])]
    return rows


def _checks(row: dict[str, Any]) -> Iterator[Check]:
    yield _reached(row["found"])
    facts = row["found"]["facts"]
    if not facts:
        return
    yield _clock(row["found"])
    yield from _machine(facts)
    for service in ("edge", "inference"):
        if service in row["groups"]:
            yield from _service(service, facts)
    yield from _firewall(row["firewall"], facts["firewall"])
    if row["transport"] == "tailscale":
        yield _tailnet(facts["tailnet"])
    if facts.get("monitoring"):
        yield _monitoring(facts["monitoring"])
    yield from _housekeeping(facts["system"])


def _reached(found: dict[str, Any]) -> Check:
    if found["facts"]:
        return Check(OK, "reach", "ssh and sudo work")
    mends = {
        "reach": "`ssh` to its ansible_host must work from this machine: is it up, and is its address right?",
        "sudo": "its ansible_user must be root, or become it with sudo (--ask-become-pass if that takes a password)",
    }
    what = {"reach": "cannot be reached", "sudo": "does not let Ansible become root"}.get(
        found["kind"], "cannot be asked"
    )
    return Check(TROUBLE, "reach", f"{what}: {found['problem']}", mends.get(found["kind"], "see the output above"))


def _clock(found: dict[str, Any]) -> Check:
    before, after = found["asked"]
    ahead, behind = found["facts"]["time"] - after, before - found["facts"]["time"]
    if max(ahead, behind) <= CLOCK_SECONDS:
        return Check(OK, "clock", "agrees with this machine's")
    way, seconds = ("ahead of", ahead) if ahead > behind else ("behind", behind)
    return Check(
        TROUBLE,
        "clock",
        f"is {seconds:.0f} s {way} this machine's",
        "`timedatectl` on both tells which is wrong; systemd-timesyncd or chrony keeps it",
    )


def _machine(facts: dict[str, Any]) -> Iterator[Check]:
    for disk in facts["system"]["disks"]:
        free, path = disk["free"], disk["path"]
        mend = "`du -xh --max-depth=2 / | sort -h` shows what takes it; for models see docs/models.md"
        if disk["readonly"]:
            yield Check(TROUBLE, "disk", f"{path} is mounted read-only", "`dmesg` tells why; a worn SD card does this")
        elif free < min(DISK_BYTES, disk["total"] * SMALL_DISK):
            yield Check(TROUBLE, "disk", f"{path} has {_size(free)} of {_size(disk['total'])} left", mend)
        elif disk["inodes"] and disk["inodes_free"] < disk["inodes"] * INODES:
            yield Check(TROUBLE, "disk", f"{path} has {disk['inodes_free']} of {disk['inodes']} inodes left", mend)
        else:
            yield Check(OK, "disk", f"{path} has {_size(free)} of {_size(disk['total'])} left")
    memory = facts["system"]["memory"]
    low = memory["available"] < memory["total"] * MEMORY
    yield Check(
        TROUBLE if low else OK,
        "memory",
        f"{_size(memory['available'])} of {_size(memory['total'])} are available",
        "fewer inference_slots, a smaller model, or whatever else `systemd-cgtop -m` shows" if low else "",
    )


def _service(name: str, facts: dict[str, Any]) -> Iterator[Check]:
    """Release, unit, socket, answer: what comes behind a broken one is not asked."""
    one = facts["services"][name]
    again = "run site.yml: it builds what is missing and starts it beside what runs"
    if not one["units"] and not one["socket"]["file"]:
        yield Check(TROUBLE, f"{name} release", "was never deployed here", "run site.yml")
        return
    used = sorted(
        {_release(unit["Id"]) for unit in one["units"] if unit["enabled"] or unit.get("ActiveState") == "active"}
    )
    missing = [release for release in used if release not in one["releases"]]
    partial = [release for release in used if one["releases"].get(release) is False]
    if missing or partial or not used:
        what = (
            f"{', '.join(missing)} is gone"
            if missing
            else f"{', '.join(partial)} is not complete"
            if partial
            else "none is in use"
        )
        yield Check(TROUBLE, f"{name} release", what, again)
    else:
        yield Check(OK, f"{name} release", f"{', '.join(used)} is complete")
    yield _unit(name, one, again)
    listens = _listens(name, one)
    yield listens
    health = one.get("answers", {}).get("health", {})
    check = f"{name} answers"
    if listens.verdict != OK:
        yield Check(UNASKED, check, "not asked")
    elif "answer" not in health:
        mend = f"`journalctl -u 'cerebrum-{name}@*' -n 50`"
        yield Check(TROUBLE, check, f"/health: {health.get('problem', 'no answer')}", mend)
    elif health["answer"].get("problem"):
        yield Check(TROUBLE, check, f"/health: {health['answer']['problem']}", "the checks below tell which link it is")
    else:
        yield Check(
            OK, check, f"/health: {health['answer'].get('status')}, up {_since(health['answer'].get('uptime', 0))}"
        )


def _unit(name: str, one: dict[str, Any], again: str) -> Check:
    check = f"{name} unit"
    active = [unit for unit in one["units"] if unit.get("ActiveState") == "active"]
    enabled = [unit["Id"] for unit in one["units"] if unit["enabled"]]
    if not active:
        states = [
            f"{unit['Id']} is {_state(unit)}" for unit in one["units"] if unit["enabled"] or _state(unit) != "inactive"
        ]
        mend = f"`journalctl -u 'cerebrum-{name}@*' -n 50` tells why; "
        mend += f"`systemctl start {enabled[0]}`" if enabled else again
        return Check(TROUBLE, check, ", ".join(states) or "no instance is there", mend)
    if len(active) > 1:
        names = ", ".join(unit["Id"] for unit in active)
        return Check(TROUBLE, check, f"a deployment is under way or was cut: {names} run", again)
    unit = active[0]
    if enabled != [unit["Id"]]:
        return Check(TROUBLE, check, f"{unit['Id']} runs, and at boot {', '.join(enabled) or 'none'} starts", again)
    if one["socket"]["service"] not in ("", unit["Id"]):
        return Check(TROUBLE, check, f"{unit['Id']} runs, and the socket would start {one['socket']['service']}", again)
    if unit.get("StatusText") not in ("ready", ""):
        return Check(
            TROUBLE, check, f"{unit['Id']} says: {unit['StatusText']}", "the checks below tell which link it is"
        )
    restarts = int(unit.get("NRestarts") or 0)
    more = f", restarted {restarts} times by itself" if restarts else ""
    return Check(
        NOTE if restarts else OK, check, f"{unit['Id']} is active{more}", "`journalctl` tells why" if restarts else ""
    )


def _listens(name: str, one: dict[str, Any]) -> Check:
    socket, check = one["socket"], f"{name} socket"
    mend = f"`systemctl start cerebrum-{name}.socket`; run site.yml if it is gone"
    if socket["active"] != "active":
        return Check(TROUBLE, check, f"cerebrum-{name}.socket is {socket['active']}", mend)
    absent = [address for address in socket["listen"] if not _bound(address, socket["bound"])]
    if absent:
        return Check(TROUBLE, check, f"nothing listens at {', '.join(absent)}", mend)
    if not socket["enabled"]:
        return Check(TROUBLE, check, f"cerebrum-{name}.socket does not start at boot", "run site.yml")
    return Check(OK, check, f"listens at {', '.join(socket['listen'])}")


def _bound(address: str, bound: list[str]) -> bool:
    port = address.rpartition(":")[2]
    return any(one in (address, f"*:{port}") for one in bound)


def _firewall(wanted: bool, found: dict[str, Any]) -> Iterator[Check]:
    if not wanted:
        yield Check(NOTE, "firewall", "is not wanted (firewall_enabled: false)")
        return
    mend = "`systemctl restart cerebrum-firewall` loads the confirmed rules; site.yml brings them back if they are gone"
    if not found["table"] or not found["drops"]:
        what = "the table `inet cerebrum` is not loaded" if not found["table"] else "its rules drop nothing"
        yield Check(TROUBLE, "firewall", what, mend)
    elif not found["enabled"]:
        yield Check(TROUBLE, "firewall", "its rules are in force and are not loaded at boot", "run site.yml")
    elif found["undo"]:
        yield Check(
            NOTE,
            "firewall",
            "new rules wait for their confirmation",
            "a play is under way; else they are taken back soon",
        )
    else:
        yield Check(OK, "firewall", "its rules are in force, and loaded at boot")


def _tailnet(found: dict[str, Any]) -> Check:
    if found.get("state") == "Running":
        return Check(OK, "tailnet", "is up")
    return Check(TROUBLE, "tailnet", f"is {found.get('state') or 'not there'}", "docs/tailnet.md; run site.yml")


def _monitoring(found: dict[str, Any]) -> Check:
    """What Prometheus says, where the host watches."""
    check, look = "monitoring", "docs/monitoring.md tells how to look; docs/runbook.md what to do about each alert"
    if "problem" in found:
        mend = "`systemctl status prometheus`; `journalctl -u prometheus -n 20`; run site.yml"
        return Check(TROUBLE, check, f"Prometheus does not answer: {found['problem']}", mend)
    if found["down"]:
        return Check(TROUBLE, check, f"Prometheus gets no answer of {', '.join(found['down'])}", look)
    if found["firing"]:
        return Check(NOTE, check, f"alerts: {', '.join(found['firing'])}", look)
    return Check(OK, check, f"{found['targets']} targets answer, no alert")


def _housekeeping(found: dict[str, Any]) -> Iterator[Check]:
    ours = [unit for unit in found["failed"] if unit.startswith("cerebrum-")]
    others = [unit for unit in found["failed"] if unit not in ours]
    if ours or others:
        mend = f"`systemctl status {(ours or others)[0]}`; `systemctl reset-failed` when it is over"
        yield Check(TROUBLE if ours else NOTE, "failed units", ", ".join(ours + others), mend)
    else:
        yield Check(OK, "failed units", "none")
    if found["leftovers"]:
        mend = "a deployment or an exchange of keys was cut, or is under way: site.yml completes it"
        yield Check(TROUBLE, "left over", ", ".join(found["leftovers"]), mend)
    else:
        yield Check(OK, "left over", "nothing is half done")
    upgrades = found["upgrades"]
    broken = upgrades["audit"] + upgrades["errors"]
    if broken:
        mend = "`dpkg --audit` and /var/log/unattended-upgrades tell more; `dpkg --configure -a` completes what was cut"
        yield Check(TROUBLE, "upgrades", broken[0], mend)
    else:
        yield Check(OK, "upgrades", f"no failure is known; apt-daily-upgrade.timer is {upgrades['timer']}")
    if found["reboot"]["required"]:
        names = ", ".join(found["reboot"]["packages"]) or "a package"
        yield Check(
            NOTE, "reboot", f"{names} waits for one", "streams are taken up again where they were; choose a quiet time"
        )
    else:
        yield Check(OK, "reboot", "none is waited for")


def _release(unit: str) -> str:
    """The release of an instance's unit, `cerebrum-edge@RELEASE.CONFIG.service`."""
    return unit.partition("@")[2].removesuffix(".service").rpartition(".")[0]


def _state(unit: dict[str, Any]) -> str:
    state, result = unit.get("ActiveState", "inactive"), unit.get("Result", "success")
    return f"{state} ({result})" if result not in ("success", "") else state


def _size(number: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def _since(seconds: float) -> str:
    days, rest = divmod(int(seconds), 86400)
    return f"{days} d" if days else f"{rest // 3600} h" if rest >= 3600 else f"{rest // 60} min"


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"doctor_hosts": findings}
