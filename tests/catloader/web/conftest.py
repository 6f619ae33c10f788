"""The site that the tests of one file share, and a user of it.

A site takes longer to start than most tests run, so the tests of a file share one; each finds it empty.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine

from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from tests.support.accounts_site import accounts_site, empty
from tests.support.site import Person, running_site, services_of


@pytest.fixture(scope="module")
def site_settings() -> dict[str, Any]:
    """The settings of the site; files that need others override this fixture."""
    return {}


@pytest.fixture(scope="module")
def shared_site(
    _migrated: Engine,
    s3_server: EmbeddedS3,
    shared_objects: ObjectStore,
    tmp_path_factory: pytest.TempPathFactory,
    site_settings: dict[str, Any],
) -> Iterator[Flask]:
    folder = tmp_path_factory.mktemp("site")
    with running_site(_migrated, s3_server, shared_objects, folder, **site_settings) as app:
        yield app


@pytest.fixture
def app(shared_site: Flask, engine: Engine, objects: ObjectStore) -> Flask:
    """The site of this file's tests; its tables, its buckets and its folder of partial uploads are empty."""
    shutil.rmtree(services_of(shared_site).settings.data_dir / "partial-uploads", ignore_errors=True)
    return shared_site


@pytest.fixture
def own_app(
    engine: Engine,
    s3_server: EmbeddedS3,
    objects: ObjectStore,
    tmp_path: Path,
    site_settings: dict[str, Any],
) -> Iterator[Flask]:
    """A separate site for one test, which changes or closes a part of it."""
    with running_site(engine, s3_server, objects, tmp_path, **site_settings) as app:
        yield app


@pytest.fixture(scope="module")
def shared_accounts_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    with accounts_site(tmp_path_factory.mktemp("accounts")) as app:
        yield app


@pytest.fixture
def accounts_app(shared_accounts_site: Flask) -> Flask:
    """A site without an object store, for files that test accounts only; its tables are empty."""
    empty(shared_accounts_site)
    return shared_accounts_site


@pytest.fixture
def anna(app: Flask) -> Person:
    return Person(app, "anna@example.org")
