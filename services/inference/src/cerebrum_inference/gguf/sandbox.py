"""Confines the process that lets llama.cpp try a file: whatever the file does to it, it can only answer or die.

For a child process with one thread, before it touches the file. It needs no privileges and no namespaces, so it also
works below a systemd unit that has taken both. Every layer is applied where the kernel has it, and reported:

- `no_new_privs`, and death together with the parent
- `limits`: no core dump, nothing written, few descriptors, bounded memory and CPU time
- `landlock`: of the file system, only the model's file, and only for reading
- `seccomp`: no sockets, no programs, no processes, no signals to others, no writing opens (`syscall_filter`)
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import struct
from collections.abc import Callable

from cerebrum_inference.gguf.syscall_filter import filter_program

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_SECCOMP_MODE_FILTER = 2
_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446  # the same on every machine
_LANDLOCK_CREATE_RULESET_VERSION = 1
_LANDLOCK_RULE_PATH_BENEATH = 1
_LANDLOCK_READ_FILE = 1 << 2
# What a ruleset handles, and so denies, by the version of the kernel's interface; network and scopes came later.
_LANDLOCK_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_LANDLOCK_NETWORK_RIGHTS = {4: 0b11}
_LANDLOCK_SCOPES = {6: 0b11}

_DESCRIPTORS = 32
_EXTRA_MEMORY = 2 << 30  # interpreter, libraries, thread stacks and the heap's reserves, all counted as addresses

_libc = ctypes.CDLL(None, use_errno=True)


def confine(model: int, *, size: int, cpu_seconds: int, parent: int) -> list[str]:
    """Applies every layer that the kernel offers.

    Args:
        model: an open descriptor of the model's file, the only one that can be opened afterwards.
        size: the file's, from which the bound on memory follows.
        parent: process that the child must not outlive.

    Returns:
        The names of the layers that are in force.
    """
    layers: dict[str, Callable[[], None]] = {
        "parent_death": lambda: _die_with(parent),
        "no_new_privs": lambda: _prctl(_PR_SET_NO_NEW_PRIVS, 1),
        "limits": lambda: _limit(size, cpu_seconds),
        "landlock": lambda: _landlock(model),
        "seccomp": _seccomp,
    }
    applied = []
    for name, apply in layers.items():
        try:
            apply()
        except OSError:
            continue
        applied.append(name)
    return applied


def _die_with(parent: int) -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)


def _limit(size: int, cpu_seconds: int) -> None:
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: _DESCRIPTORS,
        resource.RLIMIT_AS: size + size // 2 + _EXTRA_MEMORY,
        resource.RLIMIT_CPU: cpu_seconds,
    }
    for name, value in limits.items():
        # CPU time alone has room between the two: at the first it gets SIGXCPU, which says what it died of.
        hard = value + 1 if name == resource.RLIMIT_CPU else value
        before = resource.getrlimit(name)[1]
        if before != resource.RLIM_INFINITY:
            hard = min(hard, before)
        resource.setrlimit(name, (min(value, hard), hard))


def _landlock(model: int) -> None:
    version = _syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_CREATE_RULESET_VERSION)
    attributes = struct.pack(
        "=QQQ",
        _newest(_LANDLOCK_FILE_RIGHTS, version),
        _newest(_LANDLOCK_NETWORK_RIGHTS, version),
        _newest(_LANDLOCK_SCOPES, version),
    )
    length = 8 if version < 4 else 16 if version < 6 else 24
    rules = _syscall(_LANDLOCK_CREATE_RULESET, attributes, length, 0)
    try:
        allowed = struct.pack("=Qi", _LANDLOCK_READ_FILE, model)
        _syscall(_LANDLOCK_ADD_RULE, rules, _LANDLOCK_RULE_PATH_BENEATH, allowed, 0)
        _syscall(_LANDLOCK_RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)


def _newest(rights: dict[int, int], version: int) -> int:
    return max((bits for since, bits in rights.items() if since <= version), default=0)


def _seccomp() -> None:
    program = filter_program(platform.machine(), os.getpid())
    if program is None:
        raise OSError(f"no table of system calls for {platform.machine()}")
    instructions = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("@HP", len(program) // 8, ctypes.addressof(instructions))
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, head)


def _prctl(option: int, value: int, argument: bytes | int = 0) -> None:
    zero = ctypes.c_ulong(0)
    third = argument if isinstance(argument, bytes) else ctypes.c_ulong(argument)
    _checked(_libc.prctl(ctypes.c_int(option), ctypes.c_ulong(value), third, zero, zero))


def _syscall(number: int, *arguments: bytes | int | None) -> int:
    as_words = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    return _checked(_libc.syscall(ctypes.c_long(number), *as_words))


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
