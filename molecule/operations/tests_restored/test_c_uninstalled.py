"""`playbooks/uninstall.yml`: says what would go; and when it was told to, the host is as it was before Cerebrum."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodes import Node
from operating import FOLDER, plain, run, stream, unchanged, untouched

pytestmark = pytest.mark.timeout(600)
LISTING = Path(__file__).resolve().parents[1] / "listing.sh"
# Copies that the tools which keep accounts make of what they change, and the folder through which Ansible sends files.
OTHERS = {
    *(f"file /etc/{name}-" for name in ("passwd", "group", "shadow", "gshadow")),
    "file /root/.ansible",
    "file /root/.ansible/tmp",
}


def listing(node: Node) -> set[str]:
    return set(node.host.check_output(LISTING.read_text(encoding="utf-8")).splitlines())


def test_unasked_it_only_tells_what_would_go(pi: Node, vps: Node) -> None:
    with untouched(pi, vps):
        done = run("playbooks/uninstall.yml")
    assert done.returncode == 2
    assert unchanged(done)
    said = plain(done.stdout)
    assert "Nothing was touched. With -e confirm=yes" in said
    for words in ("/opt/cerebrum/edge", "/var/lib/cerebrum/models", "table inet cerebrum", "'passwd: cerebrum-tunnel'"):
        assert words in said, words
    assert stream(pi)


def test_when_told_to_it_leaves_nothing(pi: Node, vps: Node) -> None:
    done = run("playbooks/uninstall.yml", "-e", "confirm=yes")
    assert done.returncode == 0, done.stdout[-6000:]
    assert "Nothing of Cerebrum is left; the packages" in plain(done.stdout)
    for node, name in ((pi, "pi"), (vps, "vps")):
        before = set((FOLDER / f"before-{name}").read_text(encoding="utf-8").splitlines())
        assert sorted(listing(node) - before - OTHERS) == []
        assert node.host.run("systemctl --failed --plain --no-legend").stdout == ""


def test_a_second_run_changes_nothing() -> None:
    done = run("playbooks/uninstall.yml", "-e", "confirm=yes")
    assert done.returncode == 0, done.stdout[-6000:]
    assert unchanged(done), done.stdout[-3000:]
