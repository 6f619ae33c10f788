"""Restrict a process that handles untrusted bytes, in case a decoder runs an attacker's code.

Landlock (from Linux 5.13) forbids the process to change files, run programs and, in a decoding process, read
anything but code. Newer kernels also forbid TCP and signals to other processes. A seccomp filter forbids
connections of any kind, new processes, and access to the memory of other processes. Each part is used if the
kernel has it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import stat
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PR_SET_NO_NEW_PRIVS = 38  # <linux/prctl.h>

# <linux/landlock.h>; its system calls have the same numbers on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION, _PATH_BENEATH = 1, 1
_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3
# Run a program, write a file; remove and make folders and files.
_CHANGES = 1 << 0 | 1 << 1 | sum(1 << bit for bit in range(4, 13))
_TRUNCATE = 1 << 14  # from version 3
_TCP = 1 << 0 | 1 << 1  # listen and connect, from version 4
_OTHERS = 1 << 0 | 1 << 1  # abstract Unix sockets and signals, from version 6

# <linux/filter.h>, <linux/seccomp.h>
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _IF_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data; little-endian
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000
_SET_FILTER, _IS_AVAILABLE = 1, 2
# Without this flag a filter slows the process, which only decodes, down before Linux 5.16.
_KEEP_SPECULATION = 1 << 2
_CLONE_THREAD = 0x10000
_X32 = 0x40000000  # the bit that marks system calls of the x32 ABI


@dataclass(frozen=True, slots=True)
class _Machine:
    """Numbers of one architecture: <linux/audit.h>, <asm/unistd.h>."""

    audit: int
    audit_32_bit: int
    """Value for 32-bit programs, whose system calls have other numbers."""
    seccomp: int
    clone: int
    forbidden: tuple[int, ...]
    """socket, socketpair, connect, ptrace, process_vm_readv and _writev, io_uring_setup; then calls that
    Landlock allows: fchmod, fchmodat, fchmodat2, fchown, fchownat, utimensat, setxattr, lsetxattr, fsetxattr;
    then old calls that aarch64 lacks: fork, vfork, chmod, chown, lchown, utime, utimes, futimesat."""


_CLONE3 = 435
_MACHINES = {
    "x86_64": _Machine(
        audit=0xC000003E,
        audit_32_bit=0x40000003,
        seccomp=317,
        clone=56,
        forbidden=(
            *(41, 53, 42, 101, 310, 311, 425),
            *(91, 268, 452, 93, 260, 280, 188, 189, 190),
            *(57, 58, 90, 92, 94, 132, 235, 261),
        ),
    ),
    "aarch64": _Machine(
        audit=0xC00000B7,
        audit_32_bit=0x40000028,
        seccomp=277,
        clone=220,
        forbidden=(*(198, 199, 203, 117, 270, 271, 425), *(52, 53, 452, 55, 54, 88, 5, 6, 7)),
    ),
}


def code_folders() -> list[Path]:
    """Return the folders and files from which modules and libraries are loaded.

    Of a checkout only its packages are returned, because it may also contain the site's data.
    """
    modules = []
    for entry in filter(None, sys.path):
        with contextlib.suppress(FileNotFoundError):  # a relative entry, and the current folder was deleted
            modules.append(Path(entry).resolve())
    root = Path(__file__).resolve().parents[2]
    if (root / "pyproject.toml").exists():
        packages = [path.parent for path in root.glob("*/__init__.py")]
        modules = [*packages, *(entry for entry in modules if entry != root)]
    libraries = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", f"{sys.base_prefix}/lib"]
    return [*modules, *map(Path, libraries), Path("/etc/ld.so.cache")]


def missing_parts() -> list[str]:
    """Return those of Landlock and seccomp that this kernel, or the container's filter, does not offer."""
    if sys.platform != "linux":
        return ["Landlock", "seccomp"]
    libc, machine = ctypes.CDLL(None), _machine()
    available = machine and libc.syscall(machine.seccomp, _IS_AVAILABLE, 0, struct.pack("I", _FAIL)) == 0
    landlock = _landlock_version(libc) > 0
    return [*([] if landlock else ["Landlock"]), *([] if available else ["seccomp"])]


def restrict(readable: Sequence[Path] | None) -> None:
    """Restrict this thread and the threads that it starts permanently. Linux only, as far as the kernel can.

    Args:
        readable: folders and files that may still be opened; None: all.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _restrict_files(libc, readable)
    _restrict_calls(libc)


def _restrict_files(libc: ctypes.CDLL, readable: Sequence[Path] | None) -> None:
    version = _landlock_version(libc)
    if version < 1:
        return
    files = _CHANGES | (_TRUNCATE if version >= 3 else 0)
    if readable is not None:
        files |= _READ_FILE | _READ_FOLDER
    rules = struct.pack("Q", files)
    if version >= 4:
        rules += struct.pack("Q", _TCP)
    if version >= 6:
        rules += struct.pack("Q", _OTHERS)
    ruleset = libc.syscall(_CREATE_RULESET, rules, len(rules), 0)
    if ruleset < 0:
        return
    for path in readable or ():
        with suppress(OSError):  # not every system has all of these folders
            _allow_reading(libc, ruleset, path)
    libc.syscall(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _landlock_version(libc: ctypes.CDLL) -> int:
    """Return the version of Landlock: 1 to 7 in Linux 5.13 to 6.15; below 1 if it is missing."""
    return int(libc.syscall(_CREATE_RULESET, None, 0, _VERSION))


def _allow_reading(libc: ctypes.CDLL, ruleset: int, path: Path) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        access = _READ_FILE | _READ_FOLDER if is_folder else _READ_FILE
        libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", access, descriptor), 0)
    finally:
        os.close(descriptor)


def _machine() -> _Machine | None:
    return _MACHINES.get(platform.machine()) if sys.maxsize > 2**32 else None


def _restrict_calls(libc: ctypes.CDLL) -> None:
    machine = _machine()
    if machine is None:
        return
    filter_ = _filter(machine)
    instructions = ctypes.create_string_buffer(filter_, len(filter_))
    program = struct.pack("HP", len(filter_) // 8, ctypes.addressof(instructions))
    libc.syscall(machine.seccomp, _SET_FILTER, _KEEP_SPECULATION, program)


def _filter(machine: _Machine) -> bytes:
    """Return the filter's instructions (struct sock_filter): forbidden calls fail, all others are allowed.

    All calls are allowed if the architecture is neither of the two, as in an emulator.
    """
    allow, fail, missing = "allow", "fail", "missing"
    steps: list[tuple[int, str | None, str | None, int]] = [
        (_LOAD, None, None, _ARCHITECTURE),
        (_IF_EQUAL, fail, None, machine.audit_32_bit),
        (_IF_EQUAL, None, allow, machine.audit),
        (_LOAD, None, None, _NUMBER),
        (_IF_AT_LEAST, fail, None, _X32),
        *((_IF_EQUAL, fail, None, number) for number in machine.forbidden),
        (_IF_EQUAL, missing, None, _CLONE3),  # a filter can't see its flags; the C library then calls clone
        (_IF_EQUAL, None, allow, machine.clone),
        (_LOAD, None, None, _FIRST_ARGUMENT),
        (_IF_BITS, allow, fail, _CLONE_THREAD),
    ]
    targets = {allow: len(steps), fail: len(steps) + 1, missing: len(steps) + 2}
    ends = [_ALLOW, _FAIL | errno.EPERM, _FAIL | errno.ENOSYS]

    def distance(target: str | None, place: int) -> int:
        return 0 if target is None else targets[target] - place - 1

    jumps = [
        struct.pack("HBBI", code, distance(yes, place), distance(no, place), value)
        for place, (code, yes, no, value) in enumerate(steps)
    ]
    return b"".join([*jumps, *(struct.pack("HBBI", _RETURN, 0, 0, end) for end in ends)])
