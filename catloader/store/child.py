"""A child process that can't outlive its parent."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

# Runs in the child before the program takes its place: the kernel kills it as soon as the thread that
# started it ends, so that not even kill -9 of the parent leaves one behind. (Popen's preexec_fn would
# run between fork and exec of a process with threads, where Python may hang.)
_LAUNCH = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):
        sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


def start_child(
    command: Sequence[str], *, output: Path, env: Mapping[str, str], keep_open: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Start ``command``, its output appended to a file, out of reach of the terminal's Ctrl-C.

    The calling thread must live as long as the child is wanted. ``command[0]`` is a path.
    """
    with output.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=dict(env),
            start_new_session=True,
            pass_fds=keep_open,
        )
