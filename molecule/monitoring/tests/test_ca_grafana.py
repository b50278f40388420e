"""Role grafana against a repository of the test's own with a stand-in: from where, what, and in which sandbox."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from watching import asked, play

from nodes import Node
from support.repo import ROOT

# Plays take as long as the machine needs; a test that hangs is what this is for.
pytestmark = pytest.mark.timeout(900)
UNIT = "grafana-server.service"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, pi: Node) -> Path:
    """On the host, below /srv/grafana."""
    folder = tmp_path_factory.mktemp("grafana")
    subprocess.run([ROOT / "molecule/monitoring/grafana/build.sh", str(folder)], check=True)
    with subprocess.Popen(["tar", "-C", str(folder), "-c", "apt"], stdout=subprocess.PIPE) as tar:
        assert tar.stdout is not None
        inventory = os.environ["MOLECULE_INVENTORY_FILE"]
        archive = folder / "apt.tar"
        archive.write_bytes(tar.stdout.read())
        command = ["ansible", "-i", inventory, "pi", "-m", "unarchive"]
        subprocess.run([*command, "-a", f"src={archive} dest=/srv owner=root group=root"], cwd=ROOT, check=True)
    pi.host.check_output("rm -rf /srv/grafana && mv /srv/apt /srv/grafana")
    return folder


def words(repository: Path, fingerprint: str = "") -> list[str]:
    values = {
        "cerebrum_grafana_enabled": True,
        "grafana_apt_url": "file:/srv/grafana",
        "grafana_apt_key_file": str(repository / "key.asc"),
        "grafana_apt_key_fingerprint": fingerprint or (repository / "fingerprint").read_text(encoding="utf-8").strip(),
    }
    return ["-e", json.dumps(values)]


def test_another_key_is_refused_before_anything_is_touched(pi: Node, repository: Path) -> None:
    done = play(*words(repository, "B53AE77BADB630A683046005963FA27710458545"))
    assert done.returncode != 0
    assert "grafana_apt_key_fingerprint wants exactly B53AE77B" in " ".join(done.stdout.split())
    assert not pi.host.file("/etc/cerebrum/grafana").exists


def test_it_is_installed_from_its_repository_with_source_and_dashboards(
    pi: Node, repository: Path, tell: Callable[[str], None]
) -> None:
    done = play(*words(repository))
    assert done.returncode == 0, done.stdout[-4000:]
    found = json.loads(asked(pi, "http://127.0.0.1:3000/api/health"))
    assert found == {"password": 24, "provisioned": ["dashboards/cerebrum.yml", "datasources/cerebrum.yml"]}
    boards = pi.host.check_output("ls /etc/cerebrum/grafana/dashboards").split()
    assert boards == sorted(path.name for path in (ROOT / "roles/grafana/files/dashboards").glob("*.json"))
    password = pi.host.file("/etc/cerebrum/grafana/admin_password")
    assert (password.user, password.mode) == ("root", 0o600)
    security = pi.host.run(f"systemd-analyze security --no-pager --threshold=15 {UNIT}")
    assert security.rc == 0, security.stdout
    tell(f"{UNIT}: {security.stdout.splitlines()[-1].strip('→ ')}")
    listening = pi.host.check_output("ss -Htln")
    assert "127.0.0.1:3000" in listening
    assert "0.0.0.0:3000" not in listening


def test_not_wanted_any_more_it_is_gone(pi: Node, repository: Path) -> None:
    done = play()
    assert done.returncode == 0, done.stdout[-4000:]
    assert pi.host.run("ls -d /etc/cerebrum/grafana /var/lib/cerebrum/grafana /usr/share/grafana/bin").stdout == ""
    assert pi.host.run("grep -rl 'role grafana' /etc").stdout == ""
