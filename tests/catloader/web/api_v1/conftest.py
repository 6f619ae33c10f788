"""A site whose API is tested, and Anna with a program of hers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Engine

from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from tests.support.programs import Program, token_of
from tests.support.site import Person, running_site


@pytest.fixture
def app(engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path) -> Iterator[Flask]:
    with running_site(
        engine, s3_server, objects, tmp_path, max_file_bytes=100_000, login_rate="3 per hour", bin_days=30
    ) as app:
        yield app


@pytest.fixture
def anna(app: Flask) -> Person:
    return Person(app, "anna@example.org")


@pytest.fixture
def program(app: Flask, anna: Person) -> Program:
    return Program(app, token_of(app, anna))
