"""gunicorn, set up for the site and for the stand-alone Cat Checker.

The supervisor makes no engine, client or thread pool: those belong to the workers, made after the fork. What
relies on gunicorn's internals is all in this file, with its reason beside it.
"""

from __future__ import annotations

import contextlib
import gc
import http.client
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

import click
from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from catloader.checks.dispatch import local_url
from catloader.errors import CatLoaderError
from catloader.processes import die_with_parent
from catloader.server.announce import Announce
from catloader.wiring import Services

_GRACE_S = 2
"""Time that a stop leaves to requests under way; with the embedded S3's stop it must stay below 5 s."""
_HEARTBEAT_S = 60
"""A worker whose main loop is silent this long is killed. Uploads run in threads: slow ones do not count."""
_ACCESS_LOG = '%(h)s "%(r)s" %(s)s %(b)s bytes %(M)s ms'

Make = Callable[[], tuple[Flask, Services]]


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn ships no types
    """Serve what ``make`` returns, called once in each worker, until SIGINT, SIGTERM or SIGHUP.

    Args:
        announce: runs in a thread of the first worker once it has answered a request.
    """

    def __init__(
        self,
        listener: socket.socket,
        make: Make,
        announce: Announce,
        *,
        processes: int,
        threads: int,
        access_log: bool = False,
    ) -> None:
        self._listener, self._make, self._announce = listener, make, announce
        self._processes, self._threads, self._access_log = processes, threads, access_log
        self._services: Services | None = None
        super().__init__()

    def load_config(self) -> None:
        options: dict[str, Any] = {
            "bind": f"fd://{os.dup(self._listener.fileno())}",
            "worker_class": "gthread",
            "workers": self._processes,
            "threads": self._threads,
            "timeout": _HEARTBEAT_S,
            "graceful_timeout": _GRACE_S,
            "keepalive": 15,
            "loglevel": "warning",
            "accesslog": "-" if self._access_log else None,
            "access_log_format": _ACCESS_LOG,
            "control_socket_disable": True,
            # ProxyFix reads X-Forwarded-* as far as CATLOADER_TRUSTED_PROXIES allows; gunicorn must not.
            "forwarded_allow_ips": "",
            "post_fork": self._post_fork,
            "post_worker_init": self._post_worker_init,
            "worker_exit": self._worker_exit,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Make the application, in the worker."""
        try:
            app, self._services = self._make()
        except CatLoaderError as error:
            click.echo(f"Error: {error}", err=True)
            sys.exit(Arbiter.APP_LOAD_ERROR)
        self._services.start()
        return app

    def run(self) -> int:
        """Return the exit code: 0 after a stop, 1 when a worker could not start."""
        # What exists now lives as long as the process: the workers share its memory instead of copying it
        # when they collect garbage, and the interpreter ends sooner (on a busy machine by seconds).
        gc.freeze()
        try:
            _Supervisor(self).run()
        except SystemExit as stop:
            return 1 if stop.code else 0  # gunicorn's own codes mean nothing to a caller
        return 0

    def _post_fork(self, _arbiter: Arbiter, _worker: Worker) -> None:
        die_with_parent()

    def _post_worker_init(self, worker: Worker) -> None:
        worker.log.error_log.addFilter(_shorten_broken_connections)
        signal.signal(signal.SIGHUP, worker.handle_quit)
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
            return  # gunicorn calls this in the supervisor too, for a worker that has ended already
        for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP):
            signal.signal(sig, signal.SIG_IGN)
        ending = sys.exc_info()[1]
        code = ending.code if isinstance(ending, SystemExit) and isinstance(ending.code, int) else 1
        try:
            if self._services is not None:
                self._services.close()
        finally:
            logging.shutdown()
            # Not sys.exit: the clean-up that this process inherited from the supervisor (the data
            # folder's lock, the embedded S3) is not the worker's to run.
            os._exit(code)


class _Supervisor(Arbiter):  # type: ignore[misc]  # gunicorn ships no types
    """gunicorn's supervisor, but a closed terminal stops the server instead of reloading it."""

    def handle_hup(self) -> None:
        raise StopIteration


def _shorten_broken_connections(record: logging.LogRecord) -> bool:
    """Log a connection that broke in one line, as a warning; gunicorn would show a traceback for each."""
    if record.msg == "Socket error processing request." and record.exc_info:
        record.msg, record.args = "A connection fell silent or broke: %s", (record.exc_info[1],)
        record.levelno, record.levelname, record.exc_info = logging.WARNING, "WARNING", None
    return True
