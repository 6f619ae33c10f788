"""One web process: a gunicorn worker that runs waitress's event loop and a pool of request threads."""

from __future__ import annotations

import logging
import os
import resource
import signal
import time
from dataclasses import dataclass
from types import FrameType

from gunicorn.workers.base import Worker
from waitress import wasyncore

from catloader.server.connections import Connections, adjustments
from catloader.server.pools import Pools
from catloader.server.request_parser import Rules, TimeLimits

_ROUND_S = 1.0
_SPARE_DESCRIPTORS = 300
"""Open files for the database, S3, the model, libraries and logs."""


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """The options that a worker gets before the fork."""

    threads: int
    connections: int
    limits: TimeLimits
    access_log: bool
    grace_s: float
    """Time that a stop allows for requests in progress."""


class WaitressWorker(Worker):  # type: ignore[misc]  # gunicorn ships no types
    """Serves until a signal; then finishes requests in progress, including half-received uploads."""

    options: WorkerOptions
    """Set on a subclass, because gunicorn makes the instance."""

    def run(self) -> None:
        logging.getLogger("waitress").setLevel(logging.WARNING)  # a disconnected client needs no log line
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        rules: Rules = self.app.rules
        (listener,) = self.sockets
        self._connections = Connections(
            self.wsgi,
            {},
            _sock=listener.sock,
            dispatcher=Pools(rules, threads=self.options.threads),
            adj=adjustments(connections=_within_descriptors(self.options.connections)),
            bind_socket=False,
            sockinfo=(listener.sock.family, None, None, None),
            rules=rules,
            limits=self.options.limits,
            access_log=self.options.access_log,
        )
        while self.alive and os.getppid() == self.ppid:
            self._round(_ROUND_S)
        self._finish()  # busy threads end with the process

    def init_signals(self) -> None:
        """End on SIGHUP as on the other stop signals, unless it is ignored, as under ``nohup``."""
        is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        super().init_signals()
        signal.signal(signal.SIGHUP, signal.SIG_IGN if is_ignored else self.handle_exit)

    def _round(self, timeout_s: float) -> None:
        wasyncore.loop(timeout_s, use_poll=True, map=self._connections._map, count=1)
        self.notify()

    def _finish(self) -> None:
        self._connections.accepting = False
        end_s = time.monotonic() + self.options.grace_s
        while self._connections.is_busy() and time.monotonic() < end_s:
            self._connections.close_idle()
            self._round(0.05)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - gunicorn's names
        """End the loop on every stop signal; on some, gunicorn would end in the middle of responses."""
        self.alive = False
        if connections := getattr(self, "_connections", None):
            connections.pull_trigger()  # the event loop may be waiting

    handle_quit = handle_exit


def _within_descriptors(connections: int) -> int:
    """Raise the limit of open files; return the number of connections within it, at three files each."""
    limit = 3 * connections + _SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return max(8, min(connections, (limit - _SPARE_DESCRIPTORS) // 3))
