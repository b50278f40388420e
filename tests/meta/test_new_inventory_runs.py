"""`make new-inventory` as a program: at a terminal, without one, interrupted, and what Ansible says of the result."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.inventory import place
from scripts.inventory.answers import Refused
from support import playbooks
from support.repo import ROOT
from support.terminal import Terminal, terminal

PROGRAM = [sys.executable, "-m", "scripts.inventory"]
HOSTS = ["--edge", "pi@192.168.1.20", "--inference", "root@203.0.113.7"]
KEY = "tskey-auth-" + "kExample" + "-secret"


def run(*words: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Without a terminal; inventories go below `folder`, and so does the user's configuration."""
    return subprocess.run(
        [*PROGRAM, "--into", str(folder), *words],
        cwd=ROOT,
        env={**os.environ, "XDG_CONFIG_HOME": str(folder / "config"), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def secrets_of(inventory: Path, password: Path) -> dict[str, Any]:
    file = inventory / "group_vars/all/vault.yml"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text(encoding="utf-8").startswith("$ANSIBLE_VAULT;1.1;AES256\n")
    tool = str(Path(sys.executable).with_name("ansible-vault"))
    command = [tool, "view", "--vault-password-file", str(password), str(file)]
    found: dict[str, Any] = yaml.safe_load(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return found


def things(folder: Path) -> list[str]:
    """Everything below the folder, hidden files too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def private(file: Path, text: str) -> Path:
    file.touch(0o600)
    file.write_text(text, encoding="utf-8")
    return file


def test_flags_alone_give_an_inventory_with_a_key_and_a_password_of_its_own(tmp_path: Path) -> None:
    done = run("home", *HOSTS, "--models", "qwen_7b", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    password = tmp_path / "config/cerebrum/vault/home"
    assert password.stat().st_mode & 0o777 == 0o600
    key = secrets_of(tmp_path / "home", password)["vault_edge_client_key"]
    (line,) = yaml.safe_load((tmp_path / "home/group_vars/edge.yml").read_text(encoding="utf-8"))["edge_api_keys"]
    assert line.split()[1] == hashlib.sha256(key.encode()).hexdigest()
    assert f"export ANSIBLE_VAULT_PASSWORD_FILE={password}\n" in done.stdout
    own = tmp_path / "config/cerebrum/keys/home"
    assert (own.stat().st_mode & 0o777, own.read_text(encoding="utf-8")) == (0o600, f"{key}\n")
    assert f"export CEREBRUM_API_KEY_FILE={own} " in done.stdout
    assert "site.yml --check" in done.stdout
    assert "Keep a copy" in done.stdout
    assert key not in done.stdout + done.stderr
    assert password.read_text(encoding="utf-8").strip() not in done.stdout + done.stderr


def test_what_opens_another_inventory_s_vault_does_not_matter(tmp_path: Path) -> None:
    """The shell of somebody who has one inventory, and makes a second."""
    other = private(tmp_path / "other", "password of another\n")
    done = run("work", *HOSTS, folder=tmp_path, ANSIBLE_VAULT_PASSWORD_FILE=str(other))
    assert done.returncode == 0, done.stderr
    assert "vault_edge_client_key" in secrets_of(tmp_path / "work", tmp_path / "config/cerebrum/vault/work")


def test_key_of_an_earlier_inventory_is_not_written_over(tmp_path: Path) -> None:
    kept = tmp_path / "config/cerebrum/keys/home"
    kept.parent.mkdir(parents=True)
    private(kept, "of before\n")
    done = run("home", *HOSTS, folder=tmp_path)
    assert done.returncode == 1
    assert f"{kept}, which exists" in done.stderr
    assert things(tmp_path) == ["config/cerebrum/keys/home"]
    assert kept.read_text(encoding="utf-8") == "of before\n"


def test_names_of_edges_are_ones_that_they_answer_to(tmp_path: Path) -> None:
    hosts = ("--edge", "pi@pi.home.lan,pi@192.168.1.21", "--inference", "root@203.0.113.7")
    done = run("home", *hosts, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    written = yaml.safe_load((tmp_path / "home/group_vars/edge.yml").read_text(encoding="utf-8"))
    assert written["edge_allowed_hosts"] == ["pi.home.lan"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "NAME is missing: write `make new-inventory NAME=home`"),
        (["home"], "no terminal to ask at, and --edge and --inference are missing"),
        (["home", *HOSTS, "--transport", "direct"], "--inference-address is missing"),
        (["a/b", *HOSTS], "NAME is 'a/b'"),
        (["höme", *HOSTS], "NAME is 'höme'"),
        (["home", *HOSTS, "--clients", "10.0.0.5/24"], "--clients: '10.0.0.5/24' is no network"),
        (["home", *HOSTS, "--tailscale-auth-key-file", "two-lines"], "The tailnet's key: two-lines has 2 lines"),
        (["home", *HOSTS, "--tailscale-auth-key-file", "shared"], "others can read shared; run `chmod 600 shared`"),
        (["home", *HOSTS, "--vault-password-file", "none"], "none: No such file or directory"),
    ],
)
def test_what_is_missing_or_wrong_is_said_and_nothing_is_written(tmp_path: Path, words: list[str], said: str) -> None:
    private(tmp_path / "two-lines", f"{KEY}\nx\n")
    (tmp_path / "shared").write_text(KEY, encoding="utf-8")
    (tmp_path / "shared").chmod(0o644)
    before = things(tmp_path)
    done = run(
        *(str(tmp_path / word) if word in {"two-lines", "shared", "none"} else word for word in words), folder=tmp_path
    )
    assert done.returncode == 1
    assert said in done.stderr.replace(f"{tmp_path}/", "")
    assert KEY not in done.stderr
    assert "Traceback" not in done.stderr
    assert things(tmp_path) == before


@pytest.mark.parametrize("there", ["folder", "file", "link"])
def test_what_is_there_is_left_as_it_is(tmp_path: Path, there: str) -> None:
    target = tmp_path / "home"
    if there == "folder":
        target.mkdir()
    elif there == "file":
        target.touch()
    else:
        target.symlink_to("nowhere")
    before = [*tmp_path.iterdir()]
    done = run("home", *HOSTS, folder=tmp_path)
    assert done.returncode == 1
    assert "home exists and is left as it is" in done.stderr
    assert [*tmp_path.iterdir()] == before


def test_folder_that_cannot_be_written_leaves_no_password_behind(tmp_path: Path) -> None:
    (tmp_path / "inventories").touch()
    command = [*PROGRAM, "home", *HOSTS, "--into", str(tmp_path / "inventories")]
    environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path / "config")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "cannot be written to: Not a directory" in done.stderr
    assert things(tmp_path) == ["inventories"]


def at_terminal(folder: Path, *words: str) -> Any:
    return terminal(
        *PROGRAM, "--into", str(folder), *words, home=folder, folder=ROOT, size=(40, 240),
        XDG_CONFIG_HOME=str(folder / "config"),
    )  # fmt: skip


def answer(person: Terminal, question: str, text: str) -> None:
    person.wait_for(question)
    person.type(text)


def test_a_person_is_asked_one_thing_at_a_time_until_it_is_right(tmp_path: Path) -> None:
    with at_terminal(tmp_path) as person:
        answer(person, "Name of the inventory", "../x")
        answer(person, "NAME is '../x'", "")
        answer(person, "as USER@ADDRESS", "192.168.1.20")
        answer(person, "has no user", "pi@192.168.1.20")
        answer(person, "Inference host", "root@203.0.113.7")
        answer(person, "How edge and inference talk", "tailscale")
        answer(person, "headscale", "")
        person.wait_for("5.9 GiB  Qwen2.5 Coder 7B")
        answer(person, "Models", "qwen_9b")
        answer(person, "known are", "qwen_7b")
        answer(person, "Does a GPU compute", "")
        answer(person, "Who may use the edge", "open")
        answer(person, "Networks that may reach the edge", "192.168.1.7/24")
        answer(person, "write 192.168.1.0/24", "192.168.1.0/24")
        person.wait_for("Key that lets hosts into the tailnet")
        person.press(f"\x1b[200~{KEY}\nanother\x1b[201~\r")  # a paste with a line break
        person.wait_for("has a line break")
        person.press(f"\x1b[200~{KEY}\n\x1b[201~\r")  # one that only ends with it
        answer(person, "Token of the model hub", "")
        answer(person, "Password of the vault", "short")
        answer(person, "fewer than 8", "correct horse")
        answer(person, "The same again", "wrong horse")
        answer(person, "The two differ", "correct horse")
        answer(person, "The same again", "correct horse")
        person.wait_for("--ask-vault-pass site.yml --check")
        assert person.end() == 0
    for hidden in (KEY, "correct horse", "another"):
        assert hidden not in person.written
    password = private(tmp_path / "password", "correct horse\n")
    assert secrets_of(tmp_path / "home", password)["vault_tailscale_auth_key"] == KEY
    assert not (tmp_path / "config").exists()
    edge = yaml.safe_load((tmp_path / "home/group_vars/edge.yml").read_text(encoding="utf-8"))
    assert edge == {"edge_open": True, "firewall_edge_clients": ["192.168.1.0/24"]}
    everywhere = yaml.safe_load((tmp_path / "home/group_vars/all/vars.yml").read_text(encoding="utf-8"))
    assert everywhere["tailscale_auth_key"] == "{{ vault_tailscale_auth_key }}"


@pytest.mark.parametrize("way", ["\x03", "\x04", "term"])
def test_interrupt_leaves_nothing(tmp_path: Path, way: str) -> None:
    with at_terminal(tmp_path, "home", *HOSTS) as person:
        person.wait_for("How edge and inference talk")
        if way == "term":
            os.kill(person.child.pid, signal.SIGTERM)
        else:
            person.press(way)
        person.wait_for("nothing was written")
        assert person.end() == 130
    assert things(tmp_path) == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("transport", ["ssh_tunnel", "direct"])
def test_what_it_writes_passes_the_syntax_check_and_the_preflight(tmp_path: Path, transport: str) -> None:
    more = ["--inference-address", "10.0.0.2"] if transport == "direct" else []
    done = run("home", *HOSTS, "--transport", transport, "--clients", "192.168.1.0/24", *more, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    unlock = f"--vault-password-file={tmp_path}/config/cerebrum/vault/home"
    inventory = str(tmp_path / "home")
    syntax = playbooks.play("site.yml", unlock, "--syntax-check", inventory=inventory)
    assert syntax.returncode == 0, syntax.stdout
    # The hosts are this machine, which is not touched. What role base asks of a host, systemd for one, it may not have.
    shipped = (ROOT / "playbooks/preflight.yml").read_text(encoding="utf-8")
    playbook = tmp_path / "preflight.yml"
    playbook.write_text(shipped.replace("['base', 'firewall']", "['firewall']"), encoding="utf-8")
    assert playbook.read_text(encoding="utf-8") != shipped
    here = ["-e", "ansible_connection=local", "-e", "ansible_become=false"]
    checked = playbooks.play(playbook, unlock, "--check", *here, inventory=inventory)
    assert checked.returncode == 0, checked.stdout
    assert re.search(r"pi +: ok=\d+ +changed=0 .* failed=0", checked.stdout), checked.stdout
    # And it would have been looked at: a word that no role knows is found.
    wrong = playbooks.play(playbook, unlock, *here, "-e", "edge_prot=1", inventory=inventory)
    assert wrong.returncode != 0
    assert "edge_prot" in wrong.stdout


def test_what_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="File name too long"):
        place.place(tmp_path / "home", {"hosts.yml": "all:\n", "x" * 300: ""}, "hosts.yml")
    assert [*tmp_path.iterdir()] == []


def test_somebody_who_was_faster_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the last look and the rename."""
    target = tmp_path / "home"

    def come_first(_target: Path) -> None:
        target.mkdir(exist_ok=True)
        (target / "mine").touch()

    monkeypatch.setattr(place, "refuse_taken", come_first)
    with pytest.raises(Refused, match="Directory not empty"):
        place.place(target, {"hosts.yml": "all:\n"}, "hosts.yml")
    assert things(tmp_path) == ["home/mine"]
