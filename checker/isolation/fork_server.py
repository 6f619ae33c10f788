"""The caller's side of the server that forks decoding children."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from checker.errors import DecoderUnavailable
from checker.isolation import frames
from checker.process.child_python import python_path
from checker.process.exits import open_standard_descriptors

logger = logging.getLogger(__name__)

_REPLY_S = 30.0
"""The server replies within milliseconds, except for its first reply, which waits for its imports."""
_ENVIRONMENT = {
    # By default glibc maps large blocks anew each time and the kernel clears them page by page, which doubles
    # the time of a small photo. So freed memory is kept until a child has no work (see ``child``).
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": str(2**25),  # the maximum that glibc accepts
    "MALLOC_TRIM_THRESHOLD_": str(2**28),
    # Nothing here multiplies matrices, and forking is safe only in a process with one thread.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}
# Decoders need no other variables, and the site's variables contain its passwords and keys.
_PASSED_ON = re.compile(
    r"PATH|HOME|LANG|LANGUAGE|TZ|TMPDIR|VIRTUAL_ENV|(LC_|LD_|DYLD_|PYTHON|MALLOC_|TCMALLOC_|NPY_|JSIMD_|COV).*"
)
# The kernel then clears 2 MB at once instead of 4 kB, which saves a fifth of the time of a large photo
# (glibc 2.35).
_HUGE_PAGES = "glibc.malloc.hugetlb=1"


@dataclass(frozen=True, slots=True)
class Child:
    """A running child; ``generation`` identifies the server that forked it."""

    end: socket.socket
    pid: int
    generation: int


class ForkServer:
    """Starts the server when it is needed, and restarts it if it has ended. Thread-safe.

    Args:
        works: ``module:function`` for each kind of work that children do: a ``checker.isolation.child.Work``.
        memory_bytes: as in ``Limits``.
    """

    def __init__(self, works: Sequence[str], memory_bytes: int) -> None:
        self._works, self._memory_bytes = tuple(works), memory_bytes
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._generation = 0
        self._closed = False

    def start(self) -> None:
        """Start the server without waiting for it, so that the first photo need not wait for the start.

        A failure is logged, and the first ``fork`` tries again.
        """
        try:
            with self._lock:
                self._ensure_running()
        except DecoderUnavailable as error:
            logger.warning("%s", error)

    def fork(self) -> Child:
        """Start a child.

        Raises:
            DecoderUnavailable: the server does not start, or cannot fork.
        """
        with self._lock:
            self._ensure_running()
        try:
            own_end, child_end = frames.pair()
        except OSError as error:
            raise DecoderUnavailable(f"No connection to a decoder: {error.strerror}.") from error
        try:
            with child_end, self._lock:
                pid = self._fork(child_end)
                return Child(own_end, pid, self._generation)
        except BaseException:
            own_end.close()
            raise

    def _fork(self, child_end: socket.socket) -> int:
        """Send the child's end of a connection to the server; return the child's PID."""
        for _ in range(2):  # a server that was killed is restarted
            control = self._ensure_running()
            try:
                socket.send_fds(control, [b"fork"], [child_end.fileno()])
                reply = control.recv(64)
            except OSError:
                reply = b""
            if reply == b"0":
                raise DecoderUnavailable("No process could be started: too many run, or no memory is left.")
            if reply:
                return int(reply)
            self._stop()
        raise DecoderUnavailable("The process that starts the decoders has ended.")

    def end(self, child: Child) -> int | None:
        """Kill a child unless it has ended.

        Returns:
            The signal that ended the child; 0: it ended without a signal; None: unknown;
            ``checker.isolation.child.NEVER_READY``: it ended before its first item.
        """
        child.end.close()
        with self._lock:
            if self._control is None or child.generation != self._generation:
                return None  # the child ended with its server
            try:
                self._control.send(b"%d" % child.pid)
                return int(self._control.recv(64))
            except (OSError, ValueError):
                self._stop()
                return None

    def close(self) -> None:
        """End the server and its children; calls in progress get ``DecoderUnavailable``.

        Does not wait for a reply of the server, which may still be importing the decoders.
        """
        self._closed = True
        if (control := self._control) is not None:
            with contextlib.suppress(OSError):  # another thread has closed it
                control.shutdown(socket.SHUT_RDWR)  # ends a wait for a reply, which holds the lock
        with self._lock:
            self._stop()

    def _ensure_running(self) -> socket.socket:
        if self._closed:
            raise DecoderUnavailable("This process is stopping.")
        if self._control is None:
            try:
                self._control, self._process = self._started()
            except OSError as error:
                raise DecoderUnavailable(
                    f"The process that starts the decoders can't be started: {error.strerror}."
                ) from error
            self._generation += 1
        return self._control

    def _started(self) -> tuple[socket.socket, subprocess.Popen[bytes]]:
        """Start the server; return the connection to it, and its process."""
        open_standard_descriptors()  # a connection with the number 0, 1 or 2 would be lost in the child
        control, child_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        control.settimeout(_REPLY_S)
        tunables = [*filter(None, [os.environ.get("GLIBC_TUNABLES")]), _HUGE_PAGES]
        environ = {
            **{name: value for name, value in os.environ.items() if _PASSED_ON.fullmatch(name)},
            **_ENVIRONMENT,
            "GLIBC_TUNABLES": ":".join(tunables),
            "PYTHONPATH": python_path(),
        }
        arguments = [str(child_end.fileno()), str(self._memory_bytes), *self._works]
        try:
            with child_end:
                process = subprocess.Popen(
                    # -P: nothing may be imported from the folder in which the caller was started.
                    [sys.executable, "-P", "-m", "checker.isolation.child", *arguments],
                    env=environ,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,  # the caller handles Ctrl-C, and then ends this process
                    pass_fds=[child_end.fileno()],
                )
        except BaseException:
            control.close()
            raise
        return control, process

    def _stop(self) -> None:
        """Close the connection: the server then ends, and the kernel ends its children."""
        if self._control is not None and self._process is not None:
            self._control.close()
            self._control = None
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1)
                return
            self._process.kill()
            self._process.wait()
