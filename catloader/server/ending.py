"""The end of a process that a signal stops: its clean-up runs, for a limited time."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import signal
import socket
import sys
from typing import NoReturn

_CLEAN_UP_S = 8
"""Docker kills a container 10 s after SIGTERM."""


def clean_up_on_sigterm() -> None:
    """Make SIGTERM run the clean-up, like Ctrl-C; the kernel ends the process ``_CLEAN_UP_S`` later.

    A clean-up may hang, for example while the database is locked. It may not even begin, because Python
    suppresses an exception that a signal handler raises in the middle of a callback. The result is then the
    same as after a kill: the leases of photos in hand expire.
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, _end)


def end_at_once(code: int) -> NoReturn:
    """End the process after its clean-up, without the interpreter's.

    The interpreter would wait for a model that is being compiled and for every other thread of a pool, and
    then unload each library, which alone takes seconds on a busy machine.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # None or closed
            stream.flush()
    os._exit(code)


def wait_for_signal() -> None:
    """Wait until the handler of a signal raises. Call it in the main thread.

    The kernel may deliver a signal to any thread, but its handler runs in the main thread, which would not
    notice the signal while it waits for a lock.
    """
    receiver, sender = socket.socketpair()
    with receiver, sender:
        sender.setblocking(False)
        signal.set_wakeup_fd(sender.fileno())
        try:
            while True:
                receiver.recv(1)
        finally:
            signal.set_wakeup_fd(-1)


def _end(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # another signal would interrupt the clean-up
    faulthandler.dump_traceback_later(_CLEAN_UP_S - 1)  # shows where the clean-up hangs
    signal.alarm(_CLEAN_UP_S)
    sys.exit(0)  # with another code, systemd would list a service that it has stopped as failed
