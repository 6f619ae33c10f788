"""The commands that serve: ``serve`` and ``checker serve``.

Cheap checks come before anything is started; started parts are stopped in reverse order.
"""

from __future__ import annotations

import importlib
import logging
import os
import socket
import threading
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from catloader import create_app
from catloader.errors import SettingError
from catloader.metrics import metrics_folder
from catloader.server.announce import announcement, log_to_stderr, stopped
from catloader.server.data_dir import (
    exclusive_data_dir,
    prepare_data_dir,
    refuse_missing_temporary_folder,
)
from catloader.server.database import migrate_database, wait_for_migrated_database
from catloader.server.listener import listening
from catloader.server.missing_photos import report_missing_photos
from catloader.server.object_store import (
    own_object_store,
    refuse_missing_rights,
    wait_for_site_object_store,
)
from catloader.server.shared_buckets import report_shared_buckets
from catloader.settings import Settings
from catloader.wiring import Services, build, build_engine
from catloader.wiring.secrets import missing_key
from checker.process.heap import share_one_arena

if TYPE_CHECKING:
    from flask import Flask

    from catloader.server.gunicorn import Server
    from catloader.server.request_parser import TimeLimits

logger = logging.getLogger(__name__)

_CHECKER_THREADS = 4


def serve(settings: Settings) -> int:
    """Run the site until SIGINT, SIGTERM or SIGHUP; return the exit code.

    Raises:
        StartupError, ModelsError, ModelRefused: the site cannot start; the text says why.
    """
    share_one_arena()
    log_to_stderr(settings)
    prepare_data_dir(settings)
    refuse_missing_temporary_folder()
    announce = announcement(settings, "Ready for uploads at {url}", checks_here=settings.checks_here)
    refuse_unreachable_links(settings)
    with exclusive_data_dir(settings), _listening(settings, settings.port, "CATLOADER_PORT") as listener:
        migrate_database(settings, must_write=True)
        _report_new_key(settings)
        pages = _import_pages()
        with own_object_store(settings) as with_s3, _metrics_folder(settings) as metrics:
            refuse_missing_rights(settings)  # meanwhile the pages are imported, which takes longer
            report_shared_buckets(settings)
            report_missing_photos(with_s3)
            pages.join()

            def make() -> tuple[Flask, Services]:
                services = build(with_s3, fetch=True, shared_metrics=metrics)
                return create_app(with_s3, services), services

            code = import_server()(
                listener,
                make,
                announce,
                processes=settings.web_processes,
                threads=settings.web_threads,
                connections=settings.connections,
                limits=_time_limits(settings),
                access_log=settings.access_log,
            ).run()
    return stopped(code)


def _report_new_key(settings: Settings) -> None:
    """Log a warning if this start makes another key than the one that the site has used so far."""
    engine = build_engine(settings)
    try:
        if sentence := missing_key(settings, engine):
            logger.warning("%s A new key is made now, so everybody must log in again.", sentence)
    finally:
        engine.dispose()


def import_server() -> type[Server]:
    """Import gunicorn without ``WEB_CONCURRENCY``: the import would fail if the variable is not a number.

    CatLoader has another setting for the number of web processes.
    """
    os.environ.pop("WEB_CONCURRENCY", None)
    from catloader.server.gunicorn import Server

    return Server


def _import_pages() -> threading.Thread:
    """Import the pages in a thread, while the object store starts; ``serve`` raises an import error again.

    A signal that stops the start raises in the main thread, where libraries may suppress exceptions in the
    middle of their imports. A stop does not wait for this thread.
    """
    pages = threading.Thread(
        target=importlib.import_module, args=("catloader.web",), name="import-pages", daemon=True
    )
    pages.start()
    return pages


def refuse_unreachable_links(settings: Settings) -> None:
    """Refuse to redirect browsers to the embedded object store, which only this machine can reach.

    Raises:
        SettingError: other machines reach the site, and their users would see no photos.
    """
    if settings.delivery != "url" or not settings.embedded_s3:
        return
    sentence = "CATLOADER_DELIVERY=url with the embedded object store: its links work on this machine only"
    host = settings.host
    if settings.trusted_proxies or not (host in {"localhost", "::1"} or host.startswith("127.")):
        raise SettingError(f"{sentence}; use `app`, or set AWS_ENDPOINT_URL_S3.")
    logger.warning(sentence)


def serve_checker(settings: Settings) -> int:
    """Run the stand-alone Cat Checker for ``CATCHECK_DISPATCH=external``; return the exit code."""
    log_to_stderr(settings)
    prepare_data_dir(settings)
    refuse_missing_temporary_folder()
    announce = announcement(settings, "Listening for wake-ups at {url}", checks_here=True)
    with (
        _listening(settings, settings.checker_port, "CATCHECKER_PORT") as listener,
        wait_for_site_object_store(settings) as with_s3,
        _metrics_folder(settings) as metrics,
    ):
        wait_for_migrated_database(settings)
        from catloader.web.metrics import metrics_blueprint
        from checker.http import create_checker_app

        def make() -> tuple[Flask, Services]:
            services = build(with_s3, checker=True, fetch=True, shared_metrics=metrics)
            checker = services.checker
            assert checker is not None
            app = create_checker_app(checker.wake, checker.state, services.signer.refusal)
            app.register_blueprint(metrics_blueprint(services))
            return app, services

        code = import_server()(
            listener,
            make,
            announce,
            processes=1,
            threads=_CHECKER_THREADS,
            connections=settings.connections,
            limits=_time_limits(settings),
        ).run()
    return stopped(code)


def _listening(settings: Settings, port: int, port_setting: str) -> AbstractContextManager[socket.socket]:
    return listening(settings.host, port, "CATLOADER_HOST", port_setting)


def _metrics_folder(settings: Settings) -> AbstractContextManager[Path | None]:
    return metrics_folder(wanted=bool(settings.metrics_token.get_secret_value()))


def _time_limits(settings: Settings) -> TimeLimits:
    from catloader.server.request_parser import TimeLimits

    return TimeLimits(settings.stalled_s, settings.head_s, settings.body_bytes_per_s)
