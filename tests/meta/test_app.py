"""What role app decides from what a host has: who serves, who waits, what can be returned to, what is reclaimed."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from support.playbooks import plugin

releases = plugin("roles/app/filter_plugins/releases.py")
app_state = plugin("roles/app/library/app_state.py")

SOCKET = "[Socket]\nListenStream=192.0.2.7:7000\nService={}\n"
OLD, NEW = "0.1.0-aaaaaaaaaaaa.00000001", "0.2.0-bbbbbbbbbbbb.00000002"


def unit(instance: str) -> str:
    return f"cerebrum-edge@{instance}.service"


def state(*instances: str, serving: str = "", enabled: str = "", **more: Any) -> dict[str, Any]:
    """A host that has the instances, the oldest first; the last serves, unless something else is said."""
    last = serving or (instances[-1] if instances else "")
    found = {
        "releases": [
            {"name": name, "complete": True, "made": float(number)}
            for number, name in enumerate(dict.fromkeys(map(releases.release_of, instances)))
        ],
        "running": [{"unit": unit(last), "active": "active", "sub": "running", "status": "ready"}] if last else [],
        "unit_files": {unit(name): "unit" for name in instances},
        "settings": {f"{name}.env": "settings" for name in instances},
        "enabled": [unit(enabled or last)] if last else [],
        "socket": SOCKET.format(unit(last)) if last else None,
        "credentials": {},
        "served": [f"2026-01-0{number + 1}T00:00:00Z {name}" for number, name in enumerate(instances)],
        "available_mib": 1000,
    }
    return {**found, **more}


def plan(host: dict[str, Any], instance: str, *, exchange: str = "auto", needed: int = 0, socket: str = "") -> Any:
    return releases.plan(
        host, unit(instance), socket or SOCKET.format(unit(instance)), "unit", "settings", exchange, needed
    )


def test_nothing_is_done_where_it_serves_alone() -> None:
    found = plan(state(OLD, NEW), NEW)
    assert found["serves"]
    assert found["written"]
    assert not found["is_new"]


def test_a_new_instance_starts_beside_the_old_one() -> None:
    found = plan(state(OLD), NEW)
    assert not found["serves"]
    assert not found["written"]
    assert found["others"] == found["serving"] == [unit(OLD)]
    assert found["is_new"]
    assert not found["makes_room"]
    assert not found["moves"]


def test_a_host_that_has_nothing_makes_no_room() -> None:
    found = plan(state(), NEW, exchange="after", needed=9999)
    assert found["others"] == []
    assert not found["makes_room"]
    assert not found["serves"]


def test_room_is_made_where_the_memory_holds_one() -> None:
    assert plan(state(OLD), NEW, needed=1001)["makes_room"]
    assert not plan(state(OLD), NEW, needed=1000)["makes_room"]
    assert not plan(state(OLD), NEW, needed=1001, exchange="beside")["makes_room"]
    assert plan(state(OLD), NEW, exchange="after")["makes_room"]


def test_what_served_before_an_exchange_that_was_cut_short_can_serve_again() -> None:
    """The old one had stopped to make room, the new one was loading, and the play or the host ended."""
    cut = state(OLD, socket=SOCKET.format(unit(NEW)))
    cut["running"] = [{"unit": unit(NEW), "active": "activating", "sub": "start", "status": ""}]
    cut["unit_files"][unit(NEW)] = "unit"
    again = plan(cut, NEW, needed=1001)
    assert (again["serving"], again["former"]) == ([], [unit(OLD)])
    assert again["socket_before"] == SOCKET.format(unit(OLD))
    assert releases.previous(cut)["instance"] == OLD


def test_a_first_deployment_that_was_cut_short_leaves_nothing_to_go_back_to() -> None:
    cut = state(socket=SOCKET.format(unit(NEW)))
    assert (plan(cut, NEW)["former"], plan(cut, NEW)["socket_before"]) == ([], None)
    assert plan(state(), NEW)["socket_before"] is None


def test_a_socket_that_names_what_serves_stays_as_it_is() -> None:
    found = plan(state(OLD), NEW)
    assert found["former"] == found["serving"] == [unit(OLD)]
    assert found["socket_before"] == SOCKET.format(unit(OLD))


def test_another_address_is_a_move() -> None:
    elsewhere = SOCKET.format(unit(NEW)).replace("7000", "7001")
    assert plan(state(OLD), NEW, socket=elsewhere)["moves"]
    assert plan(state(OLD), NEW, socket=elsewhere, exchange="beside")["makes_room"]


def test_what_an_interrupted_play_left_does_not_count_as_done() -> None:
    """It serves, but the old one would start at boot too; or the socket still names the old one; or it failed."""
    both = state(OLD, NEW) | {"enabled": [unit(OLD), unit(NEW)]}
    assert not plan(both, NEW)["serves"]
    assert plan(both, NEW)["others"] == [unit(OLD)]
    assert not plan(state(OLD, NEW, socket=SOCKET.format(unit(OLD))), NEW)["serves"]
    failed = state(OLD, NEW)
    failed["running"][0]["active"] = "failed"
    assert not plan(failed, NEW)["serves"]
    assert not releases.plan(state(OLD, NEW), unit(NEW), "", "unit", "other", "auto", 0)["written"]


def test_a_rollback_goes_to_what_served_before() -> None:
    assert releases.previous(state(OLD, NEW))["instance"] == OLD
    # Where the newer one has crashed, nothing serves, and it is the older one all the same.
    crashed = state(OLD, NEW)
    crashed["running"][0]["active"] = "failed"
    assert releases.previous(crashed)["instance"] == OLD
    # And back again: what is left is what served before.
    returned = state(OLD, NEW, serving=OLD)
    returned["served"].append(f"2026-02-01T00:00:00Z {OLD}")
    assert releases.previous(returned)["instance"] == NEW


def test_a_rollback_can_name_its_release() -> None:
    host = state(OLD, NEW, "0.3.0-cccccccccccc.00000003")
    assert releases.previous(host)["instance"] == NEW
    assert releases.previous(host, "0.1.0-aaaaaaaaaaaa")["instance"] == OLD
    unknown = releases.previous(host, "0.9.0-dddddddddddd")
    assert unknown["instance"] == ""
    assert "keeps 0.1.0-aaaaaaaaaaaa, 0.2.0-bbbbbbbbbbbb, 0.3.0-cccccccccccc" in unknown["problem"]


def test_a_rollback_goes_to_nothing_that_is_not_whole() -> None:
    lacks: list[dict[str, Any]] = [
        {"unit_files": {}},
        {"settings": {}},
        {"releases": []},
        {"served": ["half a li", ""]},
    ]
    for broken in lacks:
        assert releases.previous(state(OLD, NEW, **broken))["instance"] == "", broken
    assert "nothing to return to" in releases.previous(state(OLD))["problem"]


def test_an_upgrade_begins_with_what_is_sound() -> None:
    assert releases.unsound(state(OLD)) == []
    degraded = state(OLD)
    degraded["running"][0]["status"] = "degraded: backend vps: The backend vps cannot be reached."
    assert "degraded: backend vps" in releases.unsound(degraded)[0]
    assert releases.unsound(state(OLD, running=[])) == [f"{unit(OLD)} does not run"]
    assert releases.unsound(state()) == []


def test_taking_over_is_noted_once() -> None:
    served = releases.remembered([f"then {OLD}"], NEW, "now")
    assert served == [f"then {OLD}", f"now {NEW}"]
    assert releases.remembered(served, NEW, "later") == served
    # What served before anything was noted can be returned to as well.
    assert releases.remembered([], NEW, "now", [unit(OLD)]) == [f"now {OLD}", f"now {NEW}"]
    assert len(releases.remembered([f"then {OLD}"] * 200, NEW, "now")) == 50


instances = st.lists(
    st.builds(
        "{}.0-{}.{}".format,
        st.integers(0, 6),
        st.sampled_from(["aaaaaaaaaaaa", "bbbbbbbbbbbb"]),
        st.sampled_from([f"0000000{n}" for n in range(9)]),
    ),
    min_size=1,
    max_size=60,
)


@given(instances, st.integers(2, 5), st.data())
def test_what_is_kept_is_what_served_last(names: list[str], keep: int, data: st.DataObject) -> None:
    host = state(*dict.fromkeys(names), served=[f"then {name}" for name in names])
    host["running"][0]["unit"] = unit(names[-1])
    host["enabled"] = [unit(data.draw(st.sampled_from(names)))]
    gone = releases.reclaimable(host, names[-1], keep)
    left = {row["name"] for row in host["releases"]} - set(gone["releases"])
    boot = releases.release_of(releases.instance_of(host["enabled"][0]))
    last = list(dict.fromkeys(releases.release_of(name) for name in reversed(names)))[:keep]
    assert left == {*last, boot}
    # Nothing that stays lacks its release, its unit or its settings, and what a rollback goes to is still there.
    units = set(host["unit_files"]) - set(gone["unit_files"])
    assert {releases.release_of(releases.instance_of(name)) for name in units} <= left
    assert {f"{releases.instance_of(name)}.env" for name in units} == set(host["settings"]) - set(gone["settings"])
    assert {unit(names[-1]), host["enabled"][0]} <= units
    back = releases.previous(host)["instance"]
    assert not back or unit(back) in units or releases.release_of(back) not in left


def test_a_release_that_never_served_goes_first() -> None:
    host = state(OLD, NEW)
    host["releases"].append({"name": "0.3.0-dddddddddddd", "complete": False, "made": 9.0})
    assert releases.reclaimable(host, NEW, 3)["releases"] == ["0.3.0-dddddddddddd"]


def test_a_cpu_is_known_by_what_it_computes_with() -> None:
    """Not by what a kernel calls the rest of it, nor by the order; a guest that was moved is another."""
    before = app_state.cpu("model name\t: A\nflags\t\t: fpu sse2 avx avx2 fma\nbugs\t\t: spectre_v1\n")
    assert re.fullmatch("[0-9a-f]{4}", before)
    assert app_state.cpu("flags\t\t: avx2 sse2 fma avx ibpb_exit_to_user its_no\n") == before
    assert app_state.cpu("flags\t\t: fpu sse2 avx avx2 fma avx512f\n") != before
    pi = app_state.cpu("Features\t: fp asimd evtstrm aes crc32 asimddp\nCPU implementer\t: 0x41\n")
    assert pi not in (before, app_state.cpu("Features\t: fp asimd evtstrm aes crc32\n"))
