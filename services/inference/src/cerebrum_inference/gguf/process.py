"""Runs a child process that may crash, hang or flood: bounded in time and in what it says, and never left behind."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

_MAX_ANSWER = 1 << 20
_KEPT_ERRORS = 1 << 14  # of stderr, the end
_CHUNK = 1 << 16
# Nothing of the service's own environment, which may name secrets. A failed assertion in llama.cpp must not begin to
# look for a debugger, the numeric libraries must not begin threads, and a GPU, whose driver cannot be confined with the
# child, must not be seen.
_ENVIRONMENT = {
    "LC_ALL": "C.UTF-8",
    "GGML_NO_BACKTRACE": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "GGML_VK_VISIBLE_DEVICES": "",
}
# -I: neither the environment nor the working directory decides what is imported.
CHILD = (sys.executable, "-I", "-B", "-m", "cerebrum_inference.gguf.child")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a child ended.

    Attributes:
        status: its exit status; negative for a signal.
        expired: it was killed because its time was over.
        flooded: it was killed because its answer had no end.
    """

    status: int
    answer: bytes
    errors: str
    expired: bool = False
    flooded: bool = False

    @property
    def signal(self) -> signal.Signals | None:
        """The signal that ended it, unless that was our own doing."""
        if self.status >= 0 or self.expired or self.flooded:
            return None
        try:
            return signal.Signals(-self.status)
        except ValueError:  # a real-time signal
            return signal.SIGKILL


def run_child(job: bytes, *, inherit: int, timeout: float, command: Sequence[str] = CHILD) -> Outcome:
    """Starts `command` in a session of its own, writes `job` to it, and waits for its end.

    Args:
        job: at most a few KiB: it must fit a pipe at once.
        inherit: the one descriptor, beside the standard ones, that the child gets.
    """
    deadline = time.monotonic() + timeout
    with subprocess.Popen(
        list(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_ENVIRONMENT,
        cwd="/",
        pass_fds=(inherit,),
        start_new_session=True,
    ) as process:
        try:
            return _converse(process, job, deadline)
        finally:
            _kill(process)


def _converse(process: subprocess.Popen[bytes], job: bytes, deadline: float) -> Outcome:
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    with contextlib.suppress(BrokenPipeError):  # it ended at once; its status says how
        process.stdin.write(job)
        process.stdin.close()
    said = {process.stdout: bytearray(), process.stderr: bytearray()}
    expired = flooded = False
    with selectors.DefaultSelector() as selector:
        for stream in said:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map() and not (expired or flooded):
            left = deadline - time.monotonic()
            expired = left <= 0
            for key, _ in selector.select(max(0.0, left)) if not expired else ():
                stream = process.stdout if key.fileobj is process.stdout else process.stderr
                data = os.read(key.fd, _CHUNK)
                if not data:
                    selector.unregister(stream)
                said[stream] += data
                if stream is process.stderr:
                    del said[stream][:-_KEPT_ERRORS]
                flooded = len(said[process.stdout]) > _MAX_ANSWER
    if not expired and not flooded:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            expired = True
    if expired or flooded:
        _kill(process)
    status = process.wait()
    errors = said[process.stderr].decode("utf-8", "replace")
    return Outcome(status, bytes(said[process.stdout]), errors, expired, flooded)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """The whole session, in case the child had children."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
