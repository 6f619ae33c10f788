"""The end of a process that a signal stops: its clean-up runs, and takes a limited time."""

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
    """Make SIGTERM run the clean-up, as Ctrl-C does; the kernel ends the process ``_CLEAN_UP_S`` later.

    A clean-up may hang, for example while the database is locked. It may not even begin: Python drops what a
    signal raises in the middle of a callback.
    What is then left undone is as after a kill: the leases of photos in hand run out.
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, _end)


def end_at_once(code: int) -> NoReturn:
    """End the process after its own clean-up, without Python's.

    Python would wait for a model that is being compiled and for every other thread of a pool, and then take
    down each library, which alone takes seconds on a busy machine.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # None or closed
            stream.flush()
    os._exit(code)


def wait_for_signal() -> None:
    """Wait until the handler of a signal raises. Call it in the main thread.

    The kernel may hand a signal to any thread, but its handler runs in the main one: waiting for a lock, that
    would not notice it.
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
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # another one would interrupt the clean-up
    faulthandler.dump_traceback_later(_CLEAN_UP_S - 1)  # shows where it hangs
    signal.alarm(_CLEAN_UP_S)
    sys.exit(0)  # systemd would list a service that it has stopped as failed
