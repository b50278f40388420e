"""What role app decides, from what `library/app_state.py` saw: no file is read or written here.

An instance is `<release>.<configuration>`, the release `<version>-<lock hash>` and, with llama.cpp, what that is
compiled for; the configuration is 8 digits of a digest. Of two hosts the versions and lock hashes can be compared.
`served` has a line for each time that an instance took over: `<time> <instance>`, the newest last.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

# Configurations of a release that is kept: a year of daily changes must not fill the folders that a rollback reads.
_CONFIGURATIONS = 10
_LINES = 50

State = Mapping[str, Any]


def instance_of(unit: str) -> str:
    """`cerebrum-edge@0.1.0-abc.01234567.service` → `0.1.0-abc.01234567`."""
    return unit.partition("@")[2].removesuffix(".service")


def release_of(instance: str) -> str:
    return instance.rpartition(".")[0]


def history(served: Iterable[str]) -> list[str]:
    """Instances in the order in which they took over; a half-written line, say, is no evidence."""
    return [words[1] for words in map(str.split, served) if len(words) == 2]


def listen_streams(socket: str) -> list[str]:
    return re.findall(r"(?m)^ListenStream=(.*)$", socket)


def plan(
    state: State, unit: str, socket: str, unit_sha: str, settings_sha: str, exchange: str, needed_mib: int
) -> dict[str, Any]:
    """What is to be done so that `unit` serves.

    Args:
        socket: the socket's unit as it shall be.
        unit_sha: of the instance's unit as it shall be; `settings_sha` of its settings.
        exchange: `beside`, `after`, or `auto`, which is `beside` where the memory holds two instances.
        needed_mib: memory that a second instance takes; 0 where that is not worth a thought.

    Returns:
        written: whether unit and settings stand on the host as they shall.
        serves: whether nothing is to be done: this one serves, and no other runs or would start.
        others: units that run, failed, or would start at boot, without this one.
        serving: those of them that serve now.
        former: what serves again if `unit` does not become ready: `serving`, or, where an exchange was cut short that
            had stopped the old one first, what would start at boot.
        socket_before: the socket's unit as it is then, None where there is nothing to return to.
        is_new: whether the instance was not the one that starts at boot.
        moves: whether the socket listens elsewhere than it shall, which ends what it listens on.
        makes_room: whether the others stop before this one starts.
    """
    instance = instance_of(unit)
    old = state["socket"]
    running = {row["unit"]: row["active"] for row in state["running"]}
    others = [name for name in dict.fromkeys([*running, *state["enabled"]]) if name != unit]
    moves = old is not None and listen_streams(old) != listen_streams(socket)
    tight = needed_mib > state["available_mib"]
    serving = [name for name in others if running.get(name) == "active"]
    former = serving or [name for name in state["enabled"] if name != unit and name in state["unit_files"]]
    return {
        "written": state["unit_files"].get(unit) == unit_sha
        and state["settings"].get(f"{instance}.env") == settings_sha,
        "serves": running.get(unit) == "active" and old == socket and state["enabled"] == [unit] and not others,
        "others": others,
        "serving": serving,
        "former": former,
        "socket_before": _starting(old, [*(name for name in former if name not in state["enabled"]), *former]),
        "is_new": unit not in state["enabled"],
        "moves": moves,
        "makes_room": bool(others) and (moves or exchange == "after" or (exchange == "auto" and tight)),
    }


def _starting(socket: str | None, units: list[str]) -> str | None:
    """`socket` as it starts the last of `units`: an exchange that was cut short may have left another name in it."""
    if socket is None or not units:
        return None
    return re.sub(r"(?m)^Service=.*$", lambda _: f"Service={units[-1]}", socket)


def remembered(served: list[str], instance: str, now: str, serving: Iterable[str] = ()) -> list[str]:
    """`served` once `instance` has taken over from the units `serving`, if it is not the last that did."""
    known = history(served)
    before = [f"{now} {name}" for name in map(instance_of, serving) if name not in known]
    return served if known[-1:] == [instance] else [*served, *before, f"{now} {instance}"][-_LINES:]


def previous(state: State, release: str = "") -> dict[str, str]:
    """Where a rollback goes: the instance that served before the one that serves now, or the last one of `release`.

    Returns:
        instance: '' where there is none, and then `problem` says why.
    """
    serving = [instance_of(row["unit"]) for row in state["running"] if row["active"] == "active"]
    # Where nothing serves: what was to serve. An exchange that was cut short is undone by going to what it replaced.
    wanted = [instance_of(name) for name in re.findall(r"(?m)^Service=(.*)$", state["socket"] or "")]
    present = (serving[-1:] or wanted or history(state["served"])[-1:] or [""])[0]
    complete = {row["name"] for row in state["releases"] if row["complete"]}
    instances = [instance_of(name) for name in state["unit_files"]]
    whole = [name for name in instances if release_of(name) in complete and f"{name}.env" in state["settings"]]
    order = [name for name in history(state["served"]) if name != present and name in whole]
    if release:
        order = [name for name in order if release_of(name) == release]
        kept = ", ".join(sorted(complete)) or "none"
        problem = f"has no release {release} that served before; it keeps {kept}"
    else:
        problem = "has nothing to return to: no other instance served before"
    return {"instance": order[-1] if order else "", "present": present, "problem": "" if order else problem}


def reclaimable(state: State, instance: str, keep: int) -> dict[str, list[str]]:
    """What is older than the `keep` releases that served last, `instance`'s own included.

    Returns:
        releases, unit_files, settings: names of what is to be removed.
    """
    served = [*reversed(history(state["served"]))]
    by_age = sorted(state["releases"], key=lambda row: row["made"], reverse=True)
    order = [instance, *served, *(f"{row['name']}." for row in by_age if row["complete"])]
    there = {release_of(instance), *(row["name"] for row in state["releases"])}
    kept = [name for name in dict.fromkeys(map(release_of, order)) if name in there][:keep]
    running = {instance_of(row["unit"]) for row in state["running"]} | {instance_of(name) for name in state["enabled"]}
    kept += [release_of(name) for name in running]
    recent = {name for release in kept for name in _recent(served, release)} | running | {instance}
    return {
        "releases": [row["name"] for row in state["releases"] if row["name"] not in kept],
        "unit_files": [name for name in state["unit_files"] if instance_of(name) not in recent],
        "settings": [name for name in state["settings"] if name.removesuffix(".env") not in recent],
    }


def _recent(served: list[str], release: str) -> list[str]:
    """Its configurations that served last, newest first."""
    return [*dict.fromkeys(name for name in served if release_of(name) == release)][:_CONFIGURATIONS]


def unsound(state: State) -> list[str]:
    """Instances that do not serve as they should, with what they say; those too that do not run and should."""
    known = {row["unit"] for row in state["running"]}
    return [
        f"{row['unit']} is {row['active']} ({row['status'] or row['sub']})"
        for row in state["running"]
        if row["active"] != "active" or row["status"] != "ready"
    ] + [f"{unit} does not run" for unit in state["enabled"] if unit not in known]


def outlook(state: State, release: str) -> str:
    """What an upgrade to `release` would bring, in a few words."""
    active = [instance_of(row["unit"]) for row in state["running"] if row["active"] == "active"]
    present = list(dict.fromkeys(map(release_of, active)))
    if present == [release]:
        return f"{release} stays, with a new configuration if the inventory says something else"
    return f"{', '.join(present) or 'nothing'} -> {release}"


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {
            "app_plan": plan,
            "app_served": remembered,
            "app_previous": previous,
            "app_reclaimable": reclaimable,
            "app_unsound": unsound,
            "app_outlook": outlook,
            "app_listen_streams": listen_streams,
        }
