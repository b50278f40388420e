"""The vault, encrypted by ansible-vault itself, and where secrets are kept that were made for this user."""

from __future__ import annotations

import os
import secrets
import stat
import subprocess
import sys
from pathlib import Path

from scripts.inventory import place
from scripts.inventory.answers import Refused


def encrypt(text: str, password: str) -> str:
    """The text as `ansible-vault` encrypts it. Both reach it through pipes, not by arguments, environment or files.

    Raises:
        Refused: ansible-vault says no, which it tells.
    """
    read, write = os.pipe()
    with os.fdopen(write, "w", encoding="utf-8") as pipe:
        pipe.write(password + "\n")  # far less than a pipe holds
    try:
        done = subprocess.run(
            [
                str(Path(sys.executable).with_name("ansible-vault")),
                "encrypt",
                f"--vault-password-file=/dev/fd/{read}",
                "--output=-",
                "-",
            ],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            pass_fds=[read],
            # What opens the vaults of other inventories is not what this one is closed with.
            env={name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_VAULT_")},
        )
    finally:
        os.close(read)
    if done.returncode != 0 or not done.stdout.startswith("$ANSIBLE_VAULT;"):
        raise Refused(f"ansible-vault did not encrypt: {done.stderr.strip()[-300:]}")
    return done.stdout


def kept(kind: str, name: str) -> Path:
    """Where a secret that was made for an inventory is kept: outside of every checkout, for this user alone.

    Args:
        kind: `vault` for its password, `keys` for the key that this user's own client sends.
    """
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "cerebrum" / kind / name


def made_password(file: Path) -> tuple[str, bool]:
    """The password of `file`, which is made if there is none.

    Returns:
        The password, and whether it is new.

    Raises:
        Refused: the file cannot be made or read.
    """
    if file.exists():
        return read_password(file), False
    made = secrets.token_urlsafe(32)
    keep(file, made, "The vault's password")
    return made, True


def keep(file: Path, secret: str, what: str) -> None:
    """Writes a new file that nobody else can read.

    Raises:
        Refused: it is there already, or cannot be made.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        place.write_new(file, secret + "\n", 0o600)
    except FileExistsError:
        raise Refused(f"{what} cannot be kept in {file}, which exists; an earlier inventory's? Move it away.") from None
    except OSError as exc:
        raise Refused(f"{what} cannot be kept in {file}: {exc.strerror}.") from exc


def read_password(file: Path) -> str:
    """A file's password.

    Raises:
        Refused: others can read it, or it is no password.
    """
    found = read_secret(file, "The vault's password")
    if len(found) < 8:
        raise Refused(f"The vault's password in {file} has fewer than 8 characters.")
    return found


def read_secret(file: Path, what: str) -> str:
    """A secret out of a file that nobody else can read.

    Raises:
        Refused: it cannot be read, or others can, or it is not one line.
    """
    try:
        with file.open(encoding="utf-8") as opened:
            if stat.S_IMODE(os.fstat(opened.fileno()).st_mode) & 0o077:
                raise Refused(f"{what}: others can read {file}; run `chmod 600 {file}` first.")
            text = opened.read(65536)
    except OSError as exc:
        raise Refused(f"{what}: {file}: {exc.strerror}.") from exc
    except UnicodeDecodeError:
        raise Refused(f"{what}: {file} is no text.") from None
    lines = text.strip().splitlines()
    if len(lines) != 1:
        raise Refused(f"{what}: {file} has {len(lines)} lines; one is needed.")
    return lines[0]
