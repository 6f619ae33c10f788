"""Commands on a site that is not running: a real database and a real object store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine

from catloader.cli import main
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from tests.support.object_stores import stores

Run = Callable[..., Result]


@pytest.fixture
def run(engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path) -> Run:
    """Run a command on the site; keyword arguments override its settings."""
    settings = {
        "CATLOADER_DATA_DIR": str(tmp_path / "data"),
        "CATLOADER_MIN_FREE_BYTES": "0",
        **stores(engine, s3_server, objects),
    }

    def run(*words: object, **others: str) -> Result:
        return CliRunner().invoke(
            main, [str(word) for word in words], env=settings | others, catch_exceptions=False
        )

    return run
