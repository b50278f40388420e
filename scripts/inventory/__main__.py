"""`make new-inventory NAME=home`: writes inventories/home from flags, or from what a terminal is asked."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import yaml

from cerebrum_kit.keys import key_line, new_key
from scripts.inventory import answers, asking, place, text, vault
from scripts.inventory.answers import Answers, Refused
from scripts.inventory.catalogue import catalogue
from scripts.inventory.questions import Question, questions, without_asking

ROOT = Path(__file__).resolve().parents[2]
_SECRETS = {"tailscale_auth_key": "The tailnet's key", "models_hf_token": "The model hub's token"}


def main() -> None:
    manifest = yaml.safe_load((ROOT / "models/manifest.yml").read_text(encoding="utf-8"))
    wanted = questions(catalogue(manifest))
    options = _parser(wanted).parse_args()
    signal.signal(signal.SIGTERM, _interrupted)
    signal.signal(signal.SIGHUP, _interrupted)
    try:
        at_terminal = sys.stdin.isatty() and sys.stdout.isatty() and not options.yes
        with asking.quiet_terminal() if at_terminal else contextlib.nullcontext():
            _make(options, wanted, at_terminal)
    except Refused as exc:
        sys.exit(f"cerebrum: {exc}")
    except (KeyboardInterrupt, EOFError):
        print("\ncerebrum: interrupted; nothing was written.", file=sys.stderr)
        sys.exit(130)


def _interrupted(number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt(number)


def _parser(wanted: tuple[Question, ...]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make new-inventory",
        description="Writes a commented inventory with an encrypted vault. What is not given is asked at a terminal.",
        epilog="With make: NAME=, EDGE=, INFERENCE=, TRANSPORT=, MODELS=, and the rest as ARGS='--access open --yes'.",
        allow_abbrev=False,
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="the inventory's name, its folder below inventories/")
    for question in wanted:
        default = "" if question.default is None else f" (default: {question.default or 'none'})"
        parser.add_argument(question.flag, dest=question.field, metavar="TEXT", help=f"{question.words}{default}")
    for name, what in _SECRETS.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}-file", dest=name, type=Path, metavar="FILE", help=f"{what}, out of a file"
        )
    parser.add_argument("--vault-password-file", type=Path, metavar="FILE", help="the vault's password, out of a file")
    parser.add_argument("--yes", action="store_true", help="take the defaults of what is not given instead of asking")
    parser.add_argument("--into", type=Path, default=ROOT / "inventories", metavar="FOLDER", help=argparse.SUPPRESS)
    return parser


def _make(options: argparse.Namespace, wanted: tuple[Question, ...], at_terminal: bool) -> None:
    name = _name(options.name, at_terminal)
    target = options.into / name
    place.refuse_taken(target)
    texts = {one.field: value for one in wanted if (value := getattr(options, one.field)) is not None}
    secrets = {
        one: answers.secret(vault.read_secret(file, what), what)
        for one, what in _SECRETS.items()
        if (file := getattr(options, one)) is not None
    }
    given = asking.ask_all(wanted, texts) if at_terminal else without_asking(wanted, texts)
    site = answers.joined(name, given)
    if at_terminal:
        secrets |= _asked_secrets(site, secrets)
    made = None if site.edge_open else new_key()
    line = key_line("me", made, now=datetime.now(UTC)) if made else ""
    if made:
        secrets["edge_client_key"] = made
    files = text.files(site, key_line=line, secrets={one: value for one, value in secrets.items() if value})
    with contextlib.ExitStack() as taken_back:
        password, file, is_new = _password(options, name, at_terminal)
        if is_new and file is not None:
            taken_back.callback(file.unlink)
        key_file = vault.kept("keys", name) if made else None
        if made and key_file:
            vault.keep(key_file, made, "The key of this machine's client")
            taken_back.callback(key_file.unlink)
        files[text.VAULT] = vault.encrypt(files[text.VAULT], password)
        place.place(target, files, text.VAULT)
        taken_back.pop_all()  # it is written: what opens it stays
    _tell(site, target, file, is_new, secrets, key_file)


def _name(given: str | None, at_terminal: bool) -> str:
    if given is not None:
        return answers.site_name(given)
    if not at_terminal:
        raise Refused("NAME is missing: write `make new-inventory NAME=home`.")
    return asking.ask_name()


def _asked_secrets(site: Answers, given: dict[str, Any]) -> dict[str, str]:
    found = {}
    if site.transport == "tailscale" and "tailscale_auth_key" not in given:
        found["tailscale_auth_key"] = asking.ask_secret(
            "\nKey that lets hosts into the tailnet (not shown; Enter: you add it later)", "The key"
        )
    if site.models != ("cerebrum-tiny",) and "models_hf_token" not in given:
        found["models_hf_token"] = asking.ask_secret(
            "\nToken of the model hub, for models that need an account (not shown; Enter: none)", "The token"
        )
    return found


def _password(options: argparse.Namespace, name: str, at_terminal: bool) -> tuple[str, Path | None, bool]:
    """The vault's password, the file that keeps it, and whether that file is new."""
    if options.vault_password_file is not None:
        file = options.vault_password_file
        return vault.read_password(file), file, False
    file = vault.kept("vault", name)
    if at_terminal:
        typed = asking.ask_password(f"\nPassword of the vault (not shown; Enter: one is made and kept in {file})")
        if typed:
            return typed, None, False
    password, is_new = vault.made_password(file)
    return password, file, is_new


def _tell(
    site: Answers, target: Path, file: Path | None, is_new: bool, secrets: dict[str, str], key_file: Path | None
) -> None:
    shown = target.relative_to(Path.cwd()) if target.is_relative_to(Path.cwd()) else target
    unlock = " --ask-vault-pass" if file is None else ""
    play = f".venv/bin/ansible-playbook -i {shown}{unlock} site.yml"
    print(f"\n{shown} is written.")
    if is_new:
        print(f"The vault's password is in {file}, for you alone. Keep a copy: without it the vault cannot be read.")
    elif file is not None:
        print(f"The vault's password is the one in {file}.")
    if file is not None:
        print(f"Commands find it by its name, in your shell:\n  export ANSIBLE_VAULT_PASSWORD_FILE={file}")
    vault_file = shown / text.VAULT
    if site.transport == "tailscale" and not secrets.get("tailscale_auth_key"):
        print(
            "The tailnet's key is missing: put it into the vault, and take the # before tailscale_auth_key in\n"
            f"{shown}/group_vars/all/vars.yml.\n  .venv/bin/ansible-vault edit{unlock} {vault_file}"
        )
    print(f"git does not track it. Next:\n  {play} --check     # what would be done\n  {play}")
    first = site.edges[0].address
    address = f"[{first}]" if ":" in first else first
    print(f"Then, as a client:\n  export CEREBRUM_URL=http://{address}:{site.edge_port}")
    if key_file is not None:
        print(f"  export CEREBRUM_API_KEY_FILE={key_file}     # the edge's key, for you alone; it is in the vault too")
    print("  .venv/bin/cerebrum status")


if __name__ == "__main__":
    main()
