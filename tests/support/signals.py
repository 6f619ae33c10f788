"""Start child processes with the signal dispositions of a terminal, however the tests were started."""

from __future__ import annotations

import signal

_INHERITED = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)


def restore_for_children() -> None:
    """Let children start with the default disposition of each signal. Call it in the main thread.

    A background job of a shell ignores SIGINT and SIGQUIT, and ``nohup`` ignores SIGHUP. Child programs
    inherit an ignored signal, so Ctrl-C would never reach them, but they do not inherit a handler. So this
    function installs a handler that does nothing: this process still ignores the signal, and its children do
    not.
    """
    for number in _INHERITED:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, _ignore)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _INHERITED)


def _ignore(*_: object) -> None: ...
