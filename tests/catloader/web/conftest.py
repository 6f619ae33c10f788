"""The site with its default settings, and a person who uses it; some files have a site of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Engine

from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from tests.support.site import Person, running_site


@pytest.fixture
def app(engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path) -> Iterator[Flask]:
    with running_site(engine, s3_server, objects, tmp_path) as app:
        yield app


@pytest.fixture
def anna(app: Flask) -> Person:
    return Person(app, "anna@example.org")
