"""Commands on a site that is not running."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import skimage
from click.testing import CliRunner, Result
from sqlalchemy import Engine

from catloader.checks.dispatch import Off
from catloader.cli import main
from catloader.intake.upload import upload
from catloader.settings import Settings
from catloader.store.db.accounts.users import Users
from catloader.store.db.engine import utcnow
from catloader.store.db.photos.photos import Photos
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from tests.support.commands import run
from tests.support.copies import Copy, copy_of, fill_from
from tests.support.object_stores import stores
from tests.support.preparing import prepare_here

__all__ = ["run"]

PHOTOS = ("chelsea.png", "coffee.png")
Run = Callable[..., Result]


@pytest.fixture
def typed(tmp_path: Path) -> Run:
    """Run a command on an empty data folder, with the default ``CATCHECK_MODEL``."""

    def run(*words: str, **environ: str) -> Result:
        env = {
            "CATLOADER_DATA_DIR": str(tmp_path),
            "CATLOADER_MIN_FREE_BYTES": "0",
            "CATCHECK_WEIGHTS_DIR": str(tmp_path / "weights"),
            "CATCHECK_DEVICE": "cpu",
            "CATCHECK_RUNTIME": "torch",
            "CATCHECK_PRECISION": "fp32",
            "CATCHECK_MODEL": "",
            **environ,
        }
        return CliRunner().invoke(main, words, env=env, catch_exceptions=False)

    return run


@pytest.fixture(scope="session")
def copies() -> dict[str, Copy]:
    """The photos of the first site, on each kind of database."""
    return {}


@pytest.fixture
def where(engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore) -> dict[str, str]:
    """The settings of database and object store."""
    return stores(engine, s3_server, objects)


@pytest.fixture
def on_site(
    typed: Run, where: dict[str, str], engine: Engine, objects: ObjectStore, copies: dict[str, Copy]
) -> Run:
    """Run a command on a site with two photos that `catloader check run` has checked."""

    def run(*words: str, **environ: str) -> Result:
        return typed(*words, **{**where, **environ})

    kind = engine.dialect.name
    if kind in copies:
        fill_from(copies[kind], engine, objects)
        return run
    samples = Path(skimage.__file__).parent / "data"
    upload(
        [(name, (samples / name).read_bytes()) for name in PHOTOS],
        [],
        Users(engine).create("ada@example.org", "hash", utcnow()).id,
        settings=Settings(min_free_bytes=0),
        prepare=prepare_here(),
        photos=Photos(engine),
        objects=objects,
        dispatcher=Off(),
    )
    assert run("check", "run").output == "2 photos checked.\n"
    copies[kind] = copy_of(engine, objects)
    return run
