"""What was asked, kept for the next session: a file only its owner can read, an entry a line, as JSON strings.

Keys have no place in it: what contains the edge's own key, or looks like a key of anybody's, is not remembered.
Neither is what starts with a space.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from pathlib import Path

from cerebrum_kit.paths import local_state

MOST_ENTRIES = 1000
_LOOKS_LIKE_A_KEY = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\b(sk|pk|rk)-[A-Z0-9_-]{16,}|\bgh[pousr]_\w{20,}|\bhf_\w{20,}"
    r"|\bAKIA[0-9A-Z]{16}\b|\btskey-\S{8,}|\bbearer\s+[\w.~+/-]{16,}"
    r"|(key|token|secret|password)['\"]?\s*[=:]\s*['\"][^\s'\"]{8,}|export \w*(key|token|secret|password)\w*=\S{8,}",
    re.IGNORECASE,
)


def history_path() -> Path:
    return local_state() / "history"


def worth_remembering(text: str, *, secret: str | None, last: str | None) -> bool:
    if not text.strip() or text[0].isspace() or text == last:
        return False
    return not (secret and secret in text) and not _LOOKS_LIKE_A_KEY.search(text)


class History:
    """The entries, the oldest first.

    Attributes:
        problem: why the file is not kept, where it is not; entries then last as long as the process.
    """

    def __init__(self, path: Path, *, secret: str | None = None) -> None:
        self._path = path
        self._secret = secret
        self.problem: str | None = None
        self.entries: list[str] = self._read()

    def add(self, text: str) -> None:
        if not worth_remembering(text, secret=self._secret, last=self.entries[-1] if self.entries else None):
            return
        self.entries.append(text)
        self._write([text], os.O_APPEND)

    def forget(self) -> None:
        self.entries.clear()
        self._write([], os.O_TRUNC)

    def _read(self) -> list[str]:
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as exc:
            self.problem = f"{self._path} cannot be read ({exc}); what you ask is not remembered"
            return []
        entries = []
        for line in text.splitlines():
            # Half a line is what a full disk or a crash leaves.
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, str):
                    entries.append(entry)
        if len(entries) > 2 * MOST_ENTRIES:
            entries = entries[-MOST_ENTRIES:]
            self._write(entries, os.O_TRUNC)
        return entries

    def _write(self, entries: list[str], how: int) -> None:
        if self.problem is not None:
            return
        # ASCII: a lone surrogate, and every line end within an entry, is escaped.
        data = "".join(json.dumps(entry) + "\n" for entry in entries).encode("ascii")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | how, 0o600)
            try:
                os.fchmod(file, 0o600)
                os.write(file, data)
            finally:
                os.close(file)
        except OSError as exc:
            self.problem = f"{self._path} cannot be written ({exc.strerror}); what you ask is not remembered"
