"""The site that the tests of a file share, and a user of the site.

Starting a site takes longer than most tests, so the tests of a file share one. Each test finds it empty.
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
    """The settings of the site. Files that need other settings override this fixture."""
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
    """The shared site, with empty tables, buckets and partial uploads."""
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
    """A separate site for a test that changes or closes parts of it."""
    with running_site(engine, s3_server, objects, tmp_path, **site_settings) as app:
        yield app


@pytest.fixture(scope="module")
def shared_accounts_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    with accounts_site(tmp_path_factory.mktemp("accounts")) as app:
        yield app


@pytest.fixture
def accounts_app(shared_accounts_site: Flask) -> Flask:
    """The shared site without an object store, for files that only test accounts; its tables are empty."""
    empty(shared_accounts_site)
    return shared_accounts_site


@pytest.fixture
def anna(app: Flask) -> Person:
    return Person(app, "anna@example.org")
