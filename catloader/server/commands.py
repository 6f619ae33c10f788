"""The long-running commands: ``catloader serve``, ``catloader checker serve``, ``catloader worker``.

Cheap refusals come before anything is started; what is started is stopped in the opposite order.
"""

from __future__ import annotations

import logging
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import click
from flask import Flask

from catloader import create_app
from catloader.checks.promotion import overruled, resolve_model
from catloader.server.data_dir import alone, beside, database, following, object_store, usable_data_folder
from catloader.server.gunicorn import Server, listening
from catloader.settings import Settings
from catloader.wiring import Services, build
from checker.decision.subject import load_subject
from checker.http import create_checker_app

_CHECKER_THREADS = 4


def serve(settings: Settings) -> None:
    """The site, until SIGINT or SIGTERM.

    Raises:
        StartupError: why it cannot start.
    """
    log_to_stderr()
    usable_data_folder(settings)
    # Before anything starts: a network that is not there is the commonest reason not to.
    checks_here = settings.dispatch in ("thread", "internal")
    ready = f"CatLoader is ready: {{url}} ({_describe(settings, checks_here=checks_here)})"

    with (
        alone(settings),
        _listening(settings, settings.port, "CATLOADER_PORT") as listener,
        _migrated(settings),
        object_store(settings) as with_s3,
    ):

        def make() -> tuple[Flask, Services]:
            services = build(with_s3, checker=checks_here)
            return create_app(with_s3, services), services

        Server(listener, make, ready, processes=settings.web_processes, threads=settings.web_threads).run()


def serve_checker(settings: Settings) -> None:
    """The stand-alone Cat Checker: what ``CATCHECK_DISPATCH=external`` POSTs to."""
    log_to_stderr()
    usable_data_folder(settings)
    ready = f"Cat Checker is listening: {{url}} ({_describe(settings, checks_here=True)})"
    with (
        _listening(settings, settings.checker_port, "CATCHECKER_PORT") as listener,
        following(settings) as with_s3,
        _migrated(settings),
    ):

        def make() -> tuple[Flask, Services]:
            services = build(with_s3, checker=True)
            checker = services.checker
            assert checker is not None
            return create_checker_app(checker.wake, checker.state, services.signer.refusal), services

        Server(listener, make, ready, processes=1, threads=_CHECKER_THREADS).run()


def check_once(settings: Settings) -> int:
    """Check all that waits; returns how many photos got their verdict.

    Raises:
        ModelRefused: the network cannot be used.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    usable_data_folder(settings)
    with beside(settings) as with_s3, _migrated(settings), running(with_s3) as services:
        assert services.checker is not None
        return services.checker.drain()


def work(settings: Settings) -> None:
    """``catloader worker``: check photos as they come, in a process of its own.

    Raises:
        ModelRefused: the network cannot be used.
    """
    log_to_stderr()
    click.echo(f"Cat Checker is starting ({_describe(settings, checks_here=True)})")
    usable_data_folder(settings)
    with following(settings) as with_s3, _migrated(settings), running(with_s3) as services:
        services.start()
        threading.Event().wait()


@contextmanager
def running(settings: Settings) -> Iterator[Services]:
    """Services with a checker, closed at the end, also by Ctrl-C."""
    services = build(settings, checker=True)
    try:
        yield services
    finally:
        services.close()


def log_to_stderr() -> None:
    """Also: a SIGTERM from here on runs the clean-up, as Ctrl-C does."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for chatty in ("alembic", "botocore", "boto3", "werkzeug", "PIL"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _listening(settings: Settings, port: int, knob: str) -> AbstractContextManager[socket.socket]:
    return listening(settings.host, port, "CATLOADER_HOST", knob, stalled_s=settings.stalled_s)


@contextmanager
def _migrated(settings: Settings) -> Iterator[None]:
    # Closed again at once: no connection may cross the fork.
    with database(settings):
        pass
    yield


def _describe(settings: Settings, *, checks_here: bool) -> str:
    if checks_here:
        subject = load_subject(settings.subject).name
        checks = f"checks run here on {resolve_model(settings)[0].name}"
        if subject != "house_cat":
            checks += f", looking for {subject}"
        if promoted := overruled(settings):
            checks += f" (CATCHECK_MODEL says so; {promoted} was promoted)"
    elif settings.dispatch == "external":
        checks = f"checks run at {settings.checker_url}"
    else:
        checks = "checks run in catloader worker"
    s3 = "embedded SeaweedFS" if settings.embedded_s3 else f"S3 at {settings.s3_endpoint_url}"
    own_file = isinstance(settings.database, Path) or settings.database.startswith("sqlite")
    return f"{checks}; {s3}; {f'SQLite in {settings.data_dir}/' if own_file else 'PostgreSQL'}"
