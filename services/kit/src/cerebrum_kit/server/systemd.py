"""The two protocols that systemd speaks to a service: inherited sockets and notification datagrams.

sd_listen_fds(3) and sd_notify(3), the parts that Cerebrum uses.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, MutableMapping

_FIRST_FD = 3


def inherited_sockets(environ: MutableMapping[str, str] | None = None) -> list[socket.socket]:
    """The listening sockets that the service manager passed, made non-blocking; none when started by hand.

    The variables are removed, so that no child takes them for its own.
    """
    env = os.environ if environ is None else environ
    pid, count = env.pop("LISTEN_PID", ""), env.pop("LISTEN_FDS", "")
    env.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdigit():
        return []
    sockets = []
    for fd in range(_FIRST_FD, _FIRST_FD + int(count)):
        os.set_inheritable(fd, False)
        inherited = socket.socket(fileno=fd)
        inherited.setblocking(False)
        sockets.append(inherited)
    return sockets


def inherited_addresses(environ: Mapping[str, str] | None = None) -> list[str]:
    """Where the sockets listen that the service manager passed; the sockets stay for `inherited_sockets`."""
    env = os.environ if environ is None else environ
    count = env.get("LISTEN_FDS", "")
    if env.get("LISTEN_PID") != str(os.getpid()) or not count.isdigit():
        return []
    addresses = []
    for fd in range(_FIRST_FD, _FIRST_FD + int(count)):
        with socket.socket(fileno=os.dup(fd)) as copy:
            name = copy.getsockname()
        # A socket of the file system is for this machine alone.
        addresses.append(name[0] if isinstance(name, tuple) else "127.0.0.1")
    return addresses


class Notifier:
    """Sends state changes to the service manager; does nothing when there is none."""

    def __init__(self, environ: MutableMapping[str, str] | None = None) -> None:
        env = os.environ if environ is None else environ
        address = env.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        micros = env.get("WATCHDOG_USEC", "")
        mine = env.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog_seconds = int(micros) / 1e6 if micros.isdigit() and mine else None

    def notify(self, **fields: str) -> None:
        """Sends `NAME=value` lines, e.g. `notify(READY="1", STATUS="ready")`."""
        if not self._address:
            return
        text = "\n".join(f"{name}={value.splitlines()[0] if value else ''}" for name, value in fields.items())
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.sendto(text.encode(), self._address)
