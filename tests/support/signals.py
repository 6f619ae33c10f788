"""Start child processes with the signal dispositions of a terminal, however the tests were started."""

from __future__ import annotations

import signal

_INHERITED = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)


def restore_for_children() -> None:
    """Let children start with the default disposition of each signal. Call it in the main thread.

    A shell's background job ignores SIGINT and SIGQUIT, ``nohup`` ignores SIGHUP. An ignored signal stays
    ignored in every program that is started from here, and no Ctrl-C would reach it; a handler does not. So a
    handler that does nothing takes the place: this process still ignores the signal.
    """
    for number in _INHERITED:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, _ignore)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _INHERITED)


def _ignore(*_: object) -> None: ...
