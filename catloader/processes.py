"""Child processes that do not outlive the process that started them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from checker.isolation.limits import PR_SET_PDEATHSIG

# Runs in the child before it executes the program. It makes the kernel kill the child when the thread that
# started it ends, so that no child remains even after kill -9 of the parent. Popen's preexec_fn would run
# between fork and exec of a process with threads, where Python may deadlock.
_LAUNCHER = f"""
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl({PR_SET_PDEATHSIG}, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):
        sys.exit(1)  # the parent ended before the kernel was asked
os.execv(sys.argv[2], sys.argv[2:])
"""

_Stream = int | IO[bytes]


def start_child(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    folder: Path | None = None,
    stdout: _Stream,
    stderr: _Stream = subprocess.STDOUT,
    keep_open: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start ``command`` in a new session, which the terminal's Ctrl-C does not reach.

    On Linux the kernel kills the child when the calling thread ends, so that thread must live as long as the
    child is needed. This takes another start of the interpreter, 15 ms.

    Args:
        command: the first item is the path of the program; ``PATH`` is not searched.
        env: the child's complete environment.
        folder: the child's working directory; None: this process's.
        keep_open: file descriptors that the child inherits.
    """
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *command],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        env=dict(env),
        cwd=folder,
        start_new_session=True,
        pass_fds=keep_open,
    )
