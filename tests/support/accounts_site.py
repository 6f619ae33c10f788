"""A site for tests of accounts: SQLite, and an unreachable object store, because accounts need none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask

from catloader import create_app
from catloader.settings import Settings
from catloader.wiring import build
from tests.support.rows import empty_tables
from tests.support.serving import add_tables
from tests.support.site import COMPILED, quick_hashes, services_of


@contextmanager
def accounts_site(folder: Path, **settings: Any) -> Iterator[Flask]:
    """Yield a site without threads; ``settings`` override the defaults here.

    The rate limits are so high that no test reaches them by accident.
    """
    values = {
        "data_dir": folder,
        "s3_endpoint_url": "http://127.0.0.1:9",
        "s3_access_key_id": "x",
        "s3_secret_access_key": "x",
        "min_free_bytes": 0,
        "dispatch": "off",
        "login_rate": "1000 per minute",
        "register_rate": "1000 per minute",
    }
    folder.mkdir(exist_ok=True)
    add_tables(folder)
    services = build(Settings(**{**values, **settings}))
    try:
        app = create_app(services.settings, services)
        app.jinja_env.bytecode_cache = COMPILED
        with quick_hashes():
            yield app
    finally:
        services.close()


def empty(app: Flask) -> None:
    """Delete all rows, for the next test."""
    empty_tables(services_of(app).engine)
