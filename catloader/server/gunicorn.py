"""gunicorn, which supervises the web processes of the site and of the stand-alone Cat Checker.

The supervisor makes no engine, client or thread pool: the workers make them after the fork. Code that relies
on gunicorn's internals is in this file and in ``worker.py``; each place says why.
"""

from __future__ import annotations

import contextlib
import gc
import http.client
import logging
import mmap
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import click
from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker

from catloader.checks.dispatch import local_url
from catloader.errors import CatLoaderError
from catloader.server.announce import Announce
from catloader.server.request_parser import FormsOnly, Rules, TimeLimits
from catloader.server.worker import WaitressWorker, WorkerOptions
from catloader.web.uploads.admission import RULES
from catloader.wiring import Services
from checker.isolation.limits import die_with
from checker.process.garbage import resume_full_collections

logger = logging.getLogger(__name__)

_GRACE_S = 2.0
"""Time that a stop allows for requests in progress. With the stop of the embedded S3 it must take less than
5 s."""
_KILL_S = 4
"""Time after which a worker that has not ended is killed: the grace time, then the end of its threads."""
_HEARTBEAT_S = 60
"""A worker whose event loop does not respond for this long is killed; slow requests run in threads."""

_BOOT_PAUSE_S = 1.0
_BOOT_AGAIN = 1
"""An exit code after which gunicorn starts another worker."""

Make = Callable[[], tuple[Flask, Services]]


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn ships no types
    """Serves an application until SIGINT, SIGTERM or SIGHUP.

    Args:
        make: returns the application and its services; called once in each worker.
        announce: runs in a thread of the first worker once it has responded to a request.
    """

    def __init__(
        self,
        listener: socket.socket,
        make: Make,
        announce: Announce,
        *,
        processes: int,
        threads: int,
        connections: int,
        limits: TimeLimits,
        access_log: bool = False,
    ) -> None:
        self._listener, self._make, self._announce = listener, make, announce
        self._processes = processes
        self._options = WorkerOptions(threads, connections, limits, access_log, _GRACE_S)
        self._services: Services | None = None
        self.rules: Rules = FormsOnly()
        self._has_booted = mmap.mmap(-1, 1)
        """One byte shared by all workers, including later ones: 1 once the first has started."""
        super().__init__()

    def load_config(self) -> None:
        options: dict[str, Any] = {
            "bind": f"fd://{os.dup(self._listener.fileno())}",
            "worker_class": type("Worker", (WaitressWorker,), {"options": self._options}),
            "workers": self._processes,
            "timeout": _HEARTBEAT_S,
            "graceful_timeout": _KILL_S,
            "loglevel": "warning",
            "logger_class": _Log,
            "control_socket_disable": True,
            "post_fork": self._post_fork,
            "post_worker_init": self._post_worker_init,
            "worker_exit": self._worker_exit,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Make the application, in the worker.

        If this fails in the first workers, the server ends. If it fails later, when other workers serve or a
        shortage of memory may pass, the supervisor starts another worker after a pause.
        """
        try:
            app, self._services = self._make()
            self.rules = app.extensions.get(RULES, self.rules)
            self._services.start()
        except Exception as error:
            if self._has_booted[0]:
                logger.exception("a web process could not start; trying again")
                time.sleep(_BOOT_PAUSE_S)
                sys.exit(_BOOT_AGAIN)
            if not isinstance(error, CatLoaderError):
                raise
            click.echo(f"Error: {error}", err=True)
            sys.exit(Arbiter.APP_LOAD_ERROR)
        return app

    def run(self) -> int:
        """Run the server; return the exit code: 0 after a stop, 1 if a worker could not start."""
        # Objects that exist now live as long as the process. If they are frozen, garbage collection does not
        # copy the memory that the workers share, and the interpreter exits sooner (by seconds on a busy
        # machine).
        gc.freeze()
        resume_full_collections()
        try:
            _Supervisor(self).run()
        except SystemExit as stop:
            return 1 if stop.code else 0  # gunicorn's codes mean nothing to a caller
        return 0

    def _post_fork(self, _arbiter: Arbiter, worker: Worker) -> None:
        die_with(worker.ppid)

    def _post_worker_init(self, worker: Worker) -> None:
        self._has_booted[0] = 1
        if worker.age == 1:
            threading.Thread(target=self._announce_when_ready, name="announce", daemon=True).start()

    def _announce_when_ready(self) -> None:
        url = local_url(*self._listener.getsockname()[:2])
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("GET", "/healthz")
            if connection.getresponse().status == http.HTTPStatus.OK and self._services is not None:
                self._announce(url, self._services)

    def _worker_exit(self, arbiter: Arbiter, _worker: Worker) -> None:
        if os.getpid() == arbiter.pid:
            return  # gunicorn also calls this in the supervisor, for a worker that has ended already
        for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP):
            signal.signal(sig, signal.SIG_IGN)
        ending = sys.exc_info()[1]
        code = ending.code if isinstance(ending, SystemExit) and isinstance(ending.code, int) else 1
        try:
            if self._services is not None:
                self._services.close()
        finally:
            logging.shutdown()
            # Not sys.exit, which would run the clean-up inherited from the supervisor: the worker must not
            # release the data folder's lock or stop the embedded S3.
            os._exit(code)


class _Log(Logger):  # type: ignore[misc]
    """gunicorn's messages, in the format and destination of the site's log."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


class _Supervisor(Arbiter):  # type: ignore[misc]  # gunicorn ships no types
    """gunicorn's supervisor, but a closed terminal stops the server instead of reloading it.

    Under ``nohup``, which ignores SIGHUP, a closed terminal has no effect.
    """

    def init_signals(self) -> None:
        is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        super().init_signals()
        if is_ignored:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def handle_hup(self) -> None:
        raise StopIteration
