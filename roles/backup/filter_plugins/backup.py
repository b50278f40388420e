"""What a backup's file is, and whether one may be brought back: text in, rows or a problem out. No file is touched.

A host has one file: an envelope that says which host, which version of this form, and the SHA-256 of what it holds;
encrypted as ansible-vault does it, or not.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

from ansible.errors import AnsibleError
from ansible.parsing.vault import VaultLib, VaultSecret

VERSION = 1
_VAULT = "$ANSIBLE_VAULT;"
_PATH = re.compile(r"/etc/cerebrum/(edge|inference|tunnel)(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+")
_HEX = re.compile(r"[0-9a-f]{64}")


def sealed(files: list[dict[str, Any]], models: list[dict[str, Any]], host: str, made: str, secret: str = "") -> str:
    """A host's backup as text; encrypted, where there is a password."""
    content = {"files": _rows(files), "models": [{"sha256": row["sha256"], "id": row["id"]} for row in models]}
    envelope = {"cerebrum_backup": VERSION, "host": host, "made": made, "sha256": _digest(content), "content": content}
    text = json.dumps(envelope, indent=1, sort_keys=True) + "\n"
    return _vault(secret).encrypt(text).decode() if secret else text


def opened(text: str, host: str, secret: str = "") -> dict[str, Any]:
    """A backup's rows, or why it is refused: `problem` is empty where it is whole, of this version and host."""
    if text.startswith(_VAULT):
        if not secret:
            return _refused("is encrypted; give its password's file as backup_password_file")
        try:
            text = _vault(secret).decrypt(text).decode()
        except (AnsibleError, ValueError):
            return _refused(
                "cannot be opened: backup_password_file holds another password, or the file is damaged or cut"
            )
    try:
        envelope = json.loads(text)
        version = envelope["cerebrum_backup"]
    except (ValueError, KeyError, TypeError):
        return _refused("is damaged or cut, or is no backup")
    if version != VERSION:
        return _refused(f"is of version {version}, and this checkout of Cerebrum reads version {VERSION}")
    content = envelope.get("content")
    if not isinstance(content, dict) or envelope.get("sha256") != _digest(content):
        return _refused("is damaged: what it holds is not what its checksum says")
    if envelope.get("host") != host:
        return _refused(f"is of the host {envelope.get('host')}; a key that is one host's is of no use to another")
    strange = [row["path"] for row in content["files"] if not _PATH.fullmatch(row["path"])]
    if strange or any(not _HEX.fullmatch(row["sha256"]) for row in content["models"]):
        return _refused(f"would write where no backup of ours does: {', '.join(strange) or 'a model'}")
    return {"problem": "", "made": str(envelope.get("made", "")), **content}


def differing(files: list[dict[str, Any]], there: list[dict[str, Any]]) -> list[str]:
    """Paths that hold something else than the backup would put there."""
    known = {row["path"]: row["sha256"] for row in there}
    return sorted(row["path"] for row in files if known.get(row["path"], row["sha256"]) != row["sha256"])


def disagreeing(hosts: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Pairs whose key would not be admitted after both were brought back, as `edge for host`.

    Args:
        hosts: each host's files, as they are saved together.
    """
    found = []
    admitted: dict[str, set[str]] = {}
    for host, files in hosts.items():
        for row in files:
            if row["path"].endswith("/inference/api_keys"):
                lines = base64.b64decode(row["content"]).decode(errors="replace").splitlines()
                admitted[host] = {line.split()[1] for line in lines if len(line.split()) == 3}
    for edge, files in hosts.items():
        for row in files:
            host = row["path"].rpartition("/")[2]
            if "/edge/keys/" in row["path"] and host in admitted:
                key = base64.b64decode(row["content"]).strip()
                if hashlib.sha256(key).hexdigest() not in admitted[host]:
                    found.append(f"{edge} for {host}")
    return found


def _rows(files: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Without what an exchange of keys has under way: it is made anew."""
    kept = [row for row in files if not row["path"].endswith((".next", ".part"))]
    return [{name: str(row[name]) for name in ("path", "mode", "sha256", "content")} for row in kept]


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _vault(secret: str) -> VaultLib:
    return VaultLib([("backup", VaultSecret(secret.encode()))])


def _refused(problem: str) -> dict[str, Any]:
    return {"problem": problem, "made": "", "files": [], "models": []}


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {
            "backup_differing": differing,
            "backup_disagreeing": disagreeing,
            "backup_opened": opened,
            "backup_sealed": sealed,
        }
