"""The table among others' tables, and the unit that loads it."""

from __future__ import annotations

import pytest

from nodes import Node

UNIT = "cerebrum-firewall.service"
OTHERS = "table ip ts-test { chain ts-input { type filter hook input priority 0; policy accept; counter accept; }; }"


def rules(one: Node, table: str) -> str:
    return str(one.host.check_output(f"nft --stateless list table {table}"))


def test_tables_of_others_stay(pi: Node) -> None:
    pi.host.check_output(f"nft '{OTHERS}'")
    others, ours = rules(pi, "ip ts-test"), rules(pi, "inet cerebrum")
    try:
        for verb in ("reload", "restart", "stop", "start"):
            pi.host.check_output(f"systemctl {verb} {UNIT}")
            assert rules(pi, "ip ts-test") == others, verb
    finally:
        pi.host.check_output("nft delete table ip ts-test")
    assert rules(pi, "inet cerebrum") == ours


def test_flush_of_debians_own_unit_does_not_take_ours_along(pi: Node) -> None:
    """Its file begins with `flush ruleset`, and its end is one."""
    ours = rules(pi, "inet cerebrum")
    for verb in ("start", "reload", "restart", "stop"):
        pi.host.check_output(f"nft '{OTHERS}'")
        pi.host.check_output(f"systemctl {verb} nftables.service")
        assert "ts-test" not in pi.host.check_output("nft list tables"), f"{verb} flushes"
        assert rules(pi, "inet cerebrum") == ours, verb


def test_rules_of_the_next_boot_are_those_in_force(each: Node) -> None:
    """Loaded into a network of its own, the file gives what the kernel has."""
    file = "nft -f /etc/cerebrum/firewall/rules.nft && nft --stateless list table inet cerebrum"
    assert each.host.check_output(f"unshare --net sh -c '{file}'") == rules(each, "inet cerebrum")
    assert "policy drop" in rules(each, "inet cerebrum")


def test_unit_comes_before_the_network_and_nothing_waits_to_undo(each: Node) -> None:
    assert each.host.service(UNIT).is_enabled
    assert each.host.service(UNIT).is_running
    assert "network-pre.target" in each.host.check_output(f"systemctl show --property=Before --value {UNIT}")
    assert each.host.check_output("systemctl list-timers --all --no-legend 'cerebrum-firewall*'") == ""
    assert each.host.check_output("systemctl list-units --failed --no-legend") == ""


@pytest.mark.parametrize("unit", [UNIT, "cerebrum-firewall-undo.service"])
def test_exposure_is_at_most_1_2(each: Node, unit: str) -> None:
    done = each.host.run(f"systemd-analyze security --no-pager --threshold=12 {unit}")
    assert done.rc == 0, done.stdout
