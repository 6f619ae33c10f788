"""Run a program for which the kernel refuses some system calls, as on a file system that lacks them.

``python -m tests.support.refusing link=EPERM,flock=ENOLCK PROGRAM ...``
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

_NUMBERS: dict[str, dict[str, tuple[int, ...]]] = {
    "x86_64": {"link": (86, 265), "flock": (73,), "connect": (42,)},
    "aarch64": {"link": (37,), "flock": (32,), "connect": (203,)},
}
SUPPORTED = platform.machine() in _NUMBERS
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2  # <linux/prctl.h>, <linux/seccomp.h>
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_LOAD_NUMBER, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06  # of <linux/filter.h>


def command(program: list[str], **refused: str) -> list[str]:
    """Return the command line that runs ``program``; ``refused`` maps system calls to error names."""
    calls = ",".join(f"{call}={error}" for call, error in refused.items())
    return [sys.executable, "-m", __name__, calls, *program]


def _refuse(calls: str) -> None:
    numbers = _NUMBERS[platform.machine()]
    steps: list[tuple[int, int, int, int]] = [(_LOAD_NUMBER, 0, 0, 0)]
    for call, error in (item.split("=") for item in calls.split(",")):
        for number in numbers[call]:
            steps += [(_JUMP_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO | getattr(errno, error))]
    steps.append((_RETURN, 0, 0, _ALLOW))
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program, 0, 0),
    ):
        if libc.prctl(*arguments):
            raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    _refuse(sys.argv[1])
    os.execvp(sys.argv[2], sys.argv[2:])
