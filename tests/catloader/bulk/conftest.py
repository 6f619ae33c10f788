"""A site with many photos in a real S3, which `check run` has checked, and its commands."""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, Row, Select, select

from catloader.bulk.plan import Plan
from catloader.cli import main
from catloader.settings import Settings
from catloader.store.db.engine import make_engine, reading
from catloader.store.db.migrate import migrate
from catloader.store.db.photos.photos import Photos
from catloader.store.db.schema import check_log, photos
from catloader.store.kinds import ObjectKind
from catloader.store.s3.embedded import EmbeddedS3
from catloader.wiring import build_object_store
from tests.support import forked
from tests.support.environ import environ_without_settings
from tests.support.fakes import photo
from tests.support.rows import new_photo, some_user

MANY = 200
_KILL_S = 120


@dataclass(frozen=True)
class BulkSite:
    """A data folder, an SQLite file and two buckets."""

    folder: Path
    environ: dict[str, str]
    settings: Settings
    engine: Engine

    def type(self, *words: str, **environ: str) -> Result:
        """Run a command in this process and assert that its exit code is 0."""
        done = CliRunner().invoke(main, words, env={**self.environ, **environ}, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done

    def start(self, *words: str, **environ: str) -> forked.Command:
        """Start a command in a new process."""
        variables = environ_without_settings(**{**self.environ, **environ})
        return forked.start("catloader", words, variables, self.folder / "output")

    def add(self, *contents: bytes) -> list[int]:
        """Store photos as an upload does, with the photo as its own thumbnail; return their ids."""
        table, store = Photos(self.engine), build_object_store(self.settings)
        owner = some_user(self.engine)
        ids = []
        for content in contents:
            sha256 = hashlib.sha256(content).hexdigest()
            new = replace(new_photo(owner.id), sha256=sha256, thumbnail_sha256=sha256)
            table.reserve(new)
            store.put(ObjectKind.PHOTO, new.photo_key, content)
            store.put(ObjectKind.THUMBNAIL, new.thumbnail_key, content)
            ids.append(table.add(new))
        return ids

    def rows(self, query: Select[Any]) -> Sequence[Row[Any]]:
        with reading(self.engine) as connection:
            return connection.execute(query).all()

    def kill_amid(self, plan: Path, *words: str, units: int, **environ: str) -> None:
        """Start a command; after ``units`` more units are done, kill its process but not its children."""
        before = results(plan)
        process = self.start(*words, **environ)
        wait_for_results(plan, len(before) + units, process)
        children = psutil.Process(process.pid).children(recursive=True)
        others = [child for child in children if not _is_agent(child)]
        process.kill()
        process.wait()
        _, left = psutil.wait_procs(others, timeout=60)
        assert left == []


def _is_agent(process: psutil.Process) -> bool:
    """Return true for Ray's agents, which take up to two minutes to notice that their driver is gone."""
    with suppress(psutil.NoSuchProcess):
        return process.name().endswith("Agent")
    return False


def wait_for_results(plan: Path, units: int, process: forked.Command) -> None:
    """Wait until the running command has done ``units`` units in total."""
    deadline_s = time.monotonic() + _KILL_S
    while len(results(plan)) < units:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def results(plan: Path) -> list[Path]:
    """Return the files of the finished units."""
    return sorted((plan / "results").glob("*/*.parquet"))


def decisions(plan: Plan) -> list[tuple[Any, ...]]:
    """Return the complete decision on each photo, by its id."""
    rows = [(row, json.loads(row["log"])) for rows in plan.results() for row in rows]
    return sorted(
        (row["photo_id"], row["verdict"], row["score"], log["labels"], log["subject_scores"])
        for row, log in rows
    )


def decisions_of_check_run(site: BulkSite) -> list[tuple[Any, ...]]:
    """Return what ``check run`` has decided, in the form of ``decisions``."""
    columns = (photos.c.id, photos.c.status, photos.c.score, check_log.c.labels, check_log.c.subject_scores)
    query = select(*columns).join(check_log, check_log.c.photo_id == photos.c.id)
    return [tuple(row) for row in site.rows(query.order_by(photos.c.id))]


@pytest.fixture(scope="session")
def make_site(s3_server: EmbeddedS3, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Any]:
    """Return a function that makes a site with the given number of checked photos."""

    @contextmanager
    def make(count: int) -> Iterator[BulkSite]:
        folder, suffix = tmp_path_factory.mktemp("bulk"), secrets.token_hex(6)
        environ = {
            "CATLOADER_DATA_DIR": str(folder),
            "DATABASE_URL": f"sqlite:///{folder / 'catloader.sqlite3'}",
            "AWS_ENDPOINT_URL_S3": s3_server.endpoint_url,
            "AWS_ACCESS_KEY_ID": s3_server.access_key_id,
            "AWS_SECRET_ACCESS_KEY": s3_server.secret_access_key,
            "CATLOADER_PHOTOS_BUCKET": f"photos-{suffix}",
            "CATLOADER_THUMBNAILS_BUCKET": f"thumbnails-{suffix}",
            "CATLOADER_MIN_FREE_BYTES": "0",
            "CATCHECK_MODEL": "efficientnet_lite0",
            "CATCHECK_DEVICE": "cpu",
        }
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environ.items():
                patch.setenv(name, value)
            settings = Settings.from_environment()
        engine = make_engine(environ["DATABASE_URL"])
        migrate(engine)
        site = BulkSite(folder, environ, settings, engine)
        build_object_store(settings).ensure_buckets()
        if count:
            site.add(*(photo(number) for number in range(count)))
            assert site.type("check", "run").output == f"{count} photos checked.\n"
        yield site
        engine.dispose()

    return make


@pytest.fixture(scope="session")
def shared_site(make_site: Callable[[int], Any]) -> Iterator[BulkSite]:
    with make_site(MANY) as site:
        yield site


@pytest.fixture
def many(shared_site: BulkSite) -> BulkSite:
    """A site with ``MANY`` checked photos, which no test may change, and without plans of earlier tests."""
    shutil.rmtree(shared_site.folder / "bulk", ignore_errors=True)
    return shared_site
