"""gunicorn, set up for the site and for the stand-alone Cat Checker.

The supervisor makes no engine, client or thread pool: those belong to the workers, made after the
fork.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import logging
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import click
from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from catloader.errors import CatLoaderError, StartupError
from catloader.processes import die_with_parent
from catloader.wiring import Services

_GRACE_S = 2
"""What a stop leaves the requests under way; with the embedded S3's stop it must stay below 5 s."""
_HEARTBEAT_S = 60
"""A worker whose main loop is silent that long is killed. Slow uploads do not count: they sit in threads."""
_BACKLOG = 2048

Make = Callable[[], tuple[Flask, Services]]


@contextlib.contextmanager
def listening(
    host: str, port: int, host_knob: str, port_knob: str, *, stalled_s: float = 60.0
) -> Iterator[socket.socket]:
    """The port, held from the first moment: whoever comes early waits instead of being refused.

    Connections inherit the kernel's own timeouts: gunicorn's read and write without any, and a peer
    that falls silent in the middle of a request would keep a thread for good.

    Raises:
        StartupError: why it cannot be had, and which setting names another.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except socket.gaierror:
        raise StartupError(f"{host_knob} is {host!r}, which is no address.") from None
    except OSError as error:
        where = f"Port {port} of {host}"
        reasons = {
            errno.EADDRINUSE: f"{where} is in use; stop the program that has it, or set {port_knob}.",
            errno.EACCES: f"{where} is not for this user; set {port_knob} above 1023.",
            errno.EADDRNOTAVAIL: f"{host} is no address of this machine; set {host_knob}.",
        }
        usual = f"{where} cannot be opened: {error.strerror}."
        raise StartupError(reasons.get(error.errno or 0, usual)) from error
    # Inherited too. Head and body of an answer are two writes: without it the second one waits for the
    # visitor's delayed acknowledgement of the first, 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for timeout in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        whole, rest = divmod(round(stalled_s * 1e6), 1_000_000)
        listener.setsockopt(socket.SOL_SOCKET, timeout, struct.pack("@ll", whole, rest))  # struct timeval
    with listener:
        yield listener


def _in_one_line(record: logging.LogRecord) -> bool:
    """A visitor who falls silent is no fault of ours: gunicorn would show a traceback for each."""
    if record.msg == "Socket error processing request." and record.exc_info:
        record.msg, record.args = "A connection fell silent or broke: %s", (record.exc_info[1],)
        record.levelno, record.levelname, record.exc_info = logging.WARNING, "WARNING", None
    return True


class _Supervisor(Arbiter):  # type: ignore[misc]  # gunicorn ships no types
    """gunicorn's, but a closed terminal stops the server instead of reloading it."""

    def handle_hup(self) -> None:
        raise StopIteration


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn ships no types
    """Serves what ``make`` returns, called once in each worker, until SIGINT, SIGTERM or SIGHUP.

    ``ready`` is printed, with the address in place of ``{url}``, when the first worker has answered.
    """

    def __init__(
        self, listener: socket.socket, make: Make, ready: str, *, processes: int, threads: int
    ) -> None:
        self._listener, self._make, self._ready = listener, make, ready
        self._processes, self._threads = processes, threads
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
            "control_socket_disable": True,
            # ProxyFix reads X-Forwarded-* as far as CATLOADER_TRUSTED_PROXIES says; gunicorn stays out of it.
            "forwarded_allow_ips": "",
            "post_fork": self._post_fork,
            "post_worker_init": self._post_worker_init,
            "worker_exit": self._worker_exit,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """In the worker."""
        try:
            app, self._services = self._make()
        except CatLoaderError as error:
            click.echo(f"Error: {error}", err=True)
            sys.exit(Arbiter.APP_LOAD_ERROR)
        self._services.start()
        return app

    def run(self) -> None:
        try:
            _Supervisor(self).run()
        except SystemExit as stop:
            # gunicorn's own codes for a worker that could not start mean nothing to a caller.
            sys.exit(1 if stop.code else 0)

    def _post_fork(self, _arbiter: Arbiter, _worker: Worker) -> None:
        die_with_parent()

    def _post_worker_init(self, worker: Worker) -> None:
        worker.log.error_log.addFilter(_in_one_line)
        signal.signal(signal.SIGHUP, worker.handle_quit)
        if worker.age == 1:
            threading.Thread(target=self._announce, name="announce", daemon=True).start()

    def _announce(self) -> None:
        host, port = self._listener.getsockname()[:2]
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - a comparison
        connection = http.client.HTTPConnection(host, port, timeout=30)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("GET", "/healthz")
            if connection.getresponse().status == http.HTTPStatus.OK:
                shown = f"[{host}]" if ":" in host else host
                click.echo(self._ready.format(url=f"http://{shown}:{port}"))

    def _worker_exit(self, arbiter: Arbiter, _worker: Worker) -> None:
        if os.getpid() == arbiter.pid:
            return  # gunicorn calls this in the supervisor too, for a worker that was gone already
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
