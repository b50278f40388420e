"""Finds out in a child process whether llama.cpp gets along with a file, and whether it works on this machine at all.

The functions block; a service runs them in a thread. llama.cpp ends its process on much that it does not like (an
assertion, a wrong pointer, an instruction that the CPU lacks): here that ends a child, and becomes an error.
"""

from __future__ import annotations

import json
import os
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from cerebrum_inference.gguf.header import Header
from cerebrum_inference.gguf.process import CHILD, Outcome, run_child
from cerebrum_inference.manifest import shipped_manifest
from cerebrum_inference.modelfile import ModelFileError
from cerebrum_kit.errors import ConfigurationError

_SHIPPED = "cerebrum-tiny.gguf"
# The shipped model is sure of how this goes on: every token is ahead of the second best by more than 2, which no
# CPU's way of rounding can turn around.
_PROMPT = "'''Tests.'''\n\n# Copyright (c) 2001-2006 Python"
GOLDEN = (2353, 3365, 481, 930, 431, 198, 2, 468)

_REBUILD = "build it again on this machine: deploy again, or run scripts/llama_wheel.sh in a checkout"
_DEATHS = {
    signal.SIGABRT: "llama.cpp aborted on it (SIGABRT)",
    signal.SIGSEGV: "llama.cpp crashed on it (SIGSEGV)",
    signal.SIGFPE: "llama.cpp crashed on it (SIGFPE)",
    signal.SIGBUS: "the file became shorter while it was read, or its disk fails (SIGBUS)",
    signal.SIGILL: f"llama.cpp was built for another CPU (SIGILL); {_REBUILD}",
    signal.SIGKILL: "the trial was killed (SIGKILL), by the kernel because memory ran out, or by somebody",
    signal.SIGXCPU: "llama.cpp computed without end (SIGXCPU)",
    signal.SIGSYS: "the trial made a system call that the service's unit does not allow (SIGSYS)",
}
_OUT_OF_MEMORY = ("bad_alloc", "failed to allocate", "not enough memory", "Cannot allocate memory", "MemoryError")


class _TrialDied(ModelFileError):
    """llama.cpp ended the child, or found no end."""


class WheelUnusable(ConfigurationError):
    """The installed llama.cpp does not work on this machine; the message says what to do."""


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """What the self-check found.

    Attributes:
        tokens: generated, the golden ones; margins: how far each was ahead of the second best.
        system_info: what llama.cpp was built for, in its own words.
        layers: of the sandbox, those that are in force on this machine.
    """

    tokens: tuple[int, ...]
    margins: tuple[float, ...]
    system_info: str
    layers: tuple[str, ...]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    layers: tuple[str, ...]
    refused: str | None = None
    header: Header | None = None
    tokens: tuple[int, ...] = ()
    margins: tuple[float, ...] = ()
    system_info: str = ""


def inspect_file(path: Path, *, timeout: float, command: tuple[str, ...] = CHILD) -> Header:
    """The facts of a model's file, after llama.cpp has loaded it and computed with it.

    Raises:
        ModelFileError: the file is damaged or hostile, or llama.cpp refuses it, dies of it or finds no end.
    """
    return _header_of(_ask({"do": "inspect"}, path, timeout, command), path)


def read_header_apart(path: Path, *, timeout: float, command: tuple[str, ...] = CHILD) -> Header:
    """The facts of a model's file without llama.cpp and without its memory; only the child reads it.

    Raises:
        ModelFileError: the file is damaged, hostile or no GGUF.
    """
    return _header_of(_ask({"do": "header"}, path, timeout, command), path)


def _header_of(answer: _Answer, path: Path) -> Header:
    if answer.header is None:
        raise ModelFileError(f"{path.name}: the trial gave no answer")
    return answer.header


def self_check(*, timeout: float, command: tuple[str, ...] = CHILD) -> SelfCheck:
    """Lets the shipped model generate, the way the service loads models, and compares with what is known.

    Raises:
        WheelUnusable: llama.cpp does not run here, or computes something else.
    """
    job = {"do": "greedy", "prompt": _PROMPT, "count": len(GOLDEN)}
    try:
        answer = _ask(job, shipped_manifest().with_name(_SHIPPED), timeout, command)
    except ModelFileError as exc:
        remedy = f"; {_REBUILD}" if isinstance(exc, _TrialDied) and _REBUILD not in str(exc) else ""
        raise WheelUnusable(f"llama.cpp fails its self-check: {exc}{remedy}") from exc
    if answer.tokens != GOLDEN:
        raise WheelUnusable(
            f"llama.cpp computes wrongly on this machine: the shipped model generates {list(answer.tokens)} instead of "
            f"{list(GOLDEN)}; {_REBUILD}"
        )
    return SelfCheck(answer.tokens, answer.margins, answer.system_info, answer.layers)


def _ask(job: dict[str, object], path: Path, timeout: float, command: tuple[str, ...]) -> _Answer:
    with _opened(path) as model:
        line = {**job, "model": model, "parent": os.getpid(), "cpu_seconds": int(timeout) + 1}
        outcome = run_child(json.dumps(line).encode() + b"\n", inherit=model, timeout=timeout, command=command)
    failure = _failure(outcome, timeout)
    if failure is not None:
        raise _TrialDied(f"{path.name}: {failure}")
    try:
        answer = _Answer.model_validate_json(outcome.answer)
    except ValidationError as exc:
        raise ModelFileError(f"{path.name}: the trial gave no proper answer{_last_words(outcome)}") from exc
    if answer.refused is not None:
        raise ModelFileError(f"{path.name}: {answer.refused}")
    return answer


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """A descriptor of the file: what is inspected cannot be exchanged on the way."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO must not block
    except OSError as exc:
        raise ModelFileError(f"{path.name}: {exc.strerror}") from exc
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ModelFileError(f"{path.name} is no plain file")
        yield descriptor
    finally:
        os.close(descriptor)


def _failure(outcome: Outcome, timeout: float) -> str | None:
    if outcome.expired:
        return f"llama.cpp was not done with it after {timeout:g} s"
    if outcome.flooded:
        return "the trial's answer has no end"
    if outcome.status and any(words in outcome.errors for words in _OUT_OF_MEMORY):
        return f"it takes more memory than a file of its size may{_last_words(outcome)}"
    if outcome.signal is not None:
        return _DEATHS.get(outcome.signal, f"the trial was ended by {outcome.signal.name}") + _last_words(outcome)
    if outcome.status:
        return f"the trial failed with status {outcome.status}{_last_words(outcome)}"
    return None


def _last_words(outcome: Outcome) -> str:
    """The last line that the child wrote, shortened: an assertion, mostly."""
    lines = [line.strip() for line in outcome.errors.splitlines() if line.strip()]
    if not lines:
        return ""
    words = lines[-1].rpartition("/vendor/llama.cpp/")[2]
    printable = "".join(letter if letter.isprintable() else "?" for letter in words)
    return f": {printable[:200]}"
