"""Runs a service as a process the way systemd does: an inherited socket, readiness and status by datagram."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

START_SECONDS = 60.0
STOP_SECONDS = 30.0
_FD = 3


def listening_socket() -> socket.socket:
    """A listening socket on loopback, on a port that the kernel chose."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    listener.setblocking(False)
    return listener


def free_port() -> int:
    """For programs that want a number in place of a socket: nobody listened there a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@dataclass
class ServiceProcess:
    """A service that is running.

    Attributes:
        listener: its listening socket, of which the process has a copy.
        status: the last `STATUS=` that it reported.
    """

    process: subprocess.Popen[bytes]
    port: int
    log_file: Path
    channel: socket.socket
    listener: socket.socket
    status: str = ""
    seen: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8")

    def wait_for(self, line: str, seconds: float = START_SECONDS) -> None:
        """Waits until the service has sent `line` (`READY=1`, for one) to its service manager."""
        while line not in self.seen:
            if self.process.poll() is not None:
                raise AssertionError(f"the service ended with {self.process.returncode}:\n{self.log}")
            self.channel.settimeout(seconds)
            try:
                text = self.channel.recv(65536).decode()
            except TimeoutError:
                raise AssertionError(f"no {line} within {seconds} s:\n{self.log}") from None
            for one in text.splitlines():
                self.seen.append(one)
                if one.startswith("STATUS="):
                    self.status = one.removeprefix("STATUS=")

    def terminate(self) -> int:
        """SIGTERM, and the exit code once it has drained."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)

    def resident_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS:"))


@contextlib.contextmanager
def running(
    argv: Sequence[str], environment: Mapping[str, str], *, listener: socket.socket | None = None, ready: bool = True
) -> Iterator[ServiceProcess]:
    """Starts `argv` with a listening socket as file descriptor 3 and waits for its readiness.

    Args:
        environment: added to a bare one; nothing of the caller's own settings goes in.
        listener: a socket to hand over, so that a test can start another process on the same one.
    """
    own = listener is None
    listener = listener or listening_socket()
    with tempfile.TemporaryDirectory(prefix="cerebrum-test-") as folder:
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        channel.bind(f"{folder}/notify")
        log_file = Path(folder) / "log"
        env = {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "NOTIFY_SOCKET": f"{folder}/notify",
            "LISTEN_FDS": "1",
            **environment,
        }
        # The shell moves the socket to descriptor 3 and knows the process id that LISTEN_PID must name.
        script = f'export LISTEN_PID=$$; exec "$@" {_FD}<&{listener.fileno()}'
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                ["/bin/bash", "-c", script, "bash", *argv],
                env=env,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[listener.fileno()],
                start_new_session=True,
            )
        service = ServiceProcess(process, listener.getsockname()[1], log_file, channel, listener)
        try:
            if ready:
                service.wait_for("READY=1")
            yield service
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait(STOP_SECONDS)
            channel.close()
            if own:
                listener.close()


def console_script(name: str) -> str:
    """A console script of the environment that runs the tests."""
    return str(Path(sys.executable).with_name(name))
