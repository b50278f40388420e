"""The seccomp program of the child: which system calls fail there, and how. Pure: it only makes bytes.

It denies what the child has no use for instead of listing what it needs: the needs of libc, of OpenMP and of
llama.cpp change with their versions, the ways out of a process do not.
"""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass

_LOAD, _EQUAL, _AND, _AT_LEAST, _RETURN = 0x20, 0x15, 0x54, 0x35, 0x06  # BPF opcodes
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_X32 = 0x40000000  # the other set of numbers on x86_64
_NUMBER_AT, _MACHINE_AT, _ARGUMENTS_AT = 0, 4, 16

_CLONE_THREAD = 0x00010000
_WRITING = 0o1 | 0o2 | 0o100 | 0o1000  # O_WRONLY, O_RDWR, O_CREAT, O_TRUNC

_MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# name: number on x86_64, number on aarch64 (None: does not exist there)
_DENIED: dict[str, tuple[int | None, int | None]] = {
    # the network
    "socket": (41, 198),
    "connect": (42, 203),
    "accept": (43, 202),
    "sendto": (44, 206),
    "recvfrom": (45, 207),
    "sendmsg": (46, 211),
    "recvmsg": (47, 212),
    "bind": (49, 200),
    "listen": (50, 201),
    "socketpair": (53, 199),
    "accept4": (288, 242),
    "recvmmsg": (299, 243),
    "sendmmsg": (307, 269),
    # programs and processes
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "tkill": (200, 130),
    "kcmp": (312, 272),
    "setrlimit": (160, 164),
    # the file system
    "creat": (85, None),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "rmdir": (84, None),
    "link": (86, None),
    "linkat": (265, 37),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "symlink": (88, None),
    "symlinkat": (266, 36),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "truncate": (76, 45),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "utimensat": (280, 88),
    "chroot": (161, 51),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    # the kernel
    "setns": (308, 268),
    "unshare": (272, 97),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "kexec_load": (246, 104),
    "reboot": (169, 142),
    "syslog": (103, 116),
    "setuid": (105, 146),
    "setgid": (106, 144),
    "setresuid": (117, 147),
    "setresgid": (119, 149),
    "setgroups": (116, 159),
    "capset": (126, 91),
}
# As if the kernel were too old: libc then takes the call below, whose arguments can be looked at.
_ABSENT: dict[str, tuple[int | None, int | None]] = {"clone3": (435, 435), "openat2": (437, 437)}


@dataclass(frozen=True, slots=True)
class _Condition:
    """Allowed only where the low half of an argument, under a mask, is a value."""

    numbers: tuple[int | None, int | None]
    argument: int
    mask: int
    value: int


def filter_program(machine: str, own_process: int) -> bytes | None:
    """BPF instructions for a machine as `uname -m` names it; None for one without a table."""
    if machine not in _MACHINES:
        return None
    column = list(_MACHINES).index(machine)
    conditions = (
        _Condition((56, 220), 0, _CLONE_THREAD, _CLONE_THREAD),  # clone: threads, no processes
        _Condition((62, 129), 0, 0xFFFFFFFF, own_process),  # kill
        _Condition((234, 131), 0, 0xFFFFFFFF, own_process),  # tgkill, with which abort() ends the process
        _Condition((2, None), 1, _WRITING, 0),  # open
        _Condition((257, 56), 2, _WRITING, 0),  # openat
        _Condition((302, 261), 2, 0xFFFFFFFF, 0),  # prlimit64: reading limits
    )
    program = [
        _instruction(_LOAD, _MACHINE_AT),
        _instruction(_EQUAL, _MACHINES[machine], yes=1),
        _instruction(_RETURN, _KILL),
        _instruction(_LOAD, _NUMBER_AT),
    ]
    if machine == "x86_64":
        program += [_instruction(_AT_LEAST, _X32, no=1), _instruction(_RETURN, _KILL)]
    for calls, code in ((_DENIED, errno.EPERM), (_ABSENT, errno.ENOSYS)):
        for numbers in calls.values():
            number = numbers[column]
            if number is not None:
                program += [_instruction(_EQUAL, number, no=1), _instruction(_RETURN, _ERRNO | code)]
    for one in conditions:
        program += _only_where(one, column)
    program.append(_instruction(_RETURN, _ALLOW))
    return b"".join(program)


def _only_where(condition: _Condition, column: int) -> list[bytes]:
    number = condition.numbers[column]
    if number is None:
        return []
    return [
        _instruction(_EQUAL, number, no=5),
        _instruction(_LOAD, _ARGUMENTS_AT + 8 * condition.argument),
        _instruction(_AND, condition.mask),
        _instruction(_EQUAL, condition.value, no=1),
        _instruction(_RETURN, _ALLOW),
        _instruction(_RETURN, _ERRNO | errno.EPERM),
    ]


def _instruction(code: int, operand: int, *, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, operand)
