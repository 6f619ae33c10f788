"""The checker service with a real database, a real S3 server and a real model."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import skimage
from sqlalchemy import Engine, select, text, update

from catloader.checks.dispatch import Off
from catloader.intake.upload import Uploaded, upload
from catloader.settings import Settings
from catloader.store.db.checks.queue import SqlCheckQueue
from catloader.store.db.engine import reading, writing
from catloader.store.db.photos.photos import Photos
from catloader.store.db.schema import CHECK_LOG_COLUMNS, Status, check_log, photos
from catloader.store.kinds import ObjectKind
from catloader.store.s3.objects import ObjectStore, S3ImageSource
from catloader.wiring import load_model
from checker.pipeline import LoadedModel
from checker.ports import ImageSource
from checker.service import CheckerService
from checker.values import INPUTS_PER_PHOTO, Claim, Rendition
from tests.support.object_stores import delete_object, store_away
from tests.support.preparing import prepare_here
from tests.support.rows import some_user

PHOTOS = ("chelsea.png", "astronaut.png", "coffee.png", "rocket.jpg", "camera.png", "moon.png")
LITE0 = Settings(model="efficientnet_lite0", device="cpu", runtime="torch", precision="fp32")


@pytest.fixture(scope="module")
def model() -> Iterator[LoadedModel]:
    loaded = load_model(LITE0)
    yield loaded
    loaded.classifier.close()


class Site:
    """Six photos that wait for their check."""

    def __init__(self, engine: Engine, objects: ObjectStore, model: LoadedModel) -> None:
        self.engine, self.objects, self._model = engine, objects, model
        self.queue = SqlCheckQueue(engine, lease_s=60, max_attempts=3, backoff_s=1000)
        folder = Path(skimage.__file__).parent / "data"
        done = upload(
            [(name, (folder / name).read_bytes()) for name in PHOTOS],
            [],
            some_user(engine).id,
            settings=Settings(min_free_bytes=0),
            prepare=prepare_here(),
            photos=Photos(engine),
            objects=objects,
            dispatcher=Off(),
        )
        self.ids = [outcome.photo_id for outcome in done if isinstance(outcome, Uploaded)]
        assert len(self.ids) == len(PHOTOS)

    def service(self, source: ImageSource | None = None, model: LoadedModel | None = None) -> CheckerService:
        return CheckerService(
            self.queue,
            source or S3ImageSource(self.objects),
            lambda: model or self._model,
            workers=2,
            batch_photos=2,
            sweep_s=1000,
        )

    def statuses(self) -> list[str]:
        with reading(self.engine) as connection:
            return list(connection.execute(select(photos.c.status).order_by(photos.c.id)).scalars())

    def key(self, place: int) -> str:
        with reading(self.engine) as connection:
            query = select(photos.c.photo_key).where(photos.c.id == self.ids[place])
            return str(connection.execute(query).scalar_one())


@pytest.fixture
def site(engine: Engine, objects: ObjectStore, model: LoadedModel) -> Site:
    return Site(engine, objects, model)


def test_every_photo_gets_its_verdict_and_its_log_row(site: Site) -> None:
    assert site.service().drain() == len(PHOTOS)
    assert site.statuses()[0] == Status.CAT
    assert set(site.statuses()[1:]) == {Status.NOT_CAT}
    with reading(site.engine) as connection:
        rows = connection.execute(select(*CHECK_LOG_COLUMNS).order_by(check_log.c.photo_id)).all()
        photo_rows = connection.execute(select(photos).order_by(photos.c.id)).all()
    assert [row.photo_id for row in rows] == site.ids
    for row, photo in zip(rows, photo_rows, strict=True):
        assert (row.photo_sha256, row.thumbnail_sha256) == (photo.sha256, photo.thumbnail_sha256)
        assert (row.batch_size, row.attempt, row.error) == (INPUTS_PER_PHOTO, 1, None)
        assert set(row.ms) == {"fetch", "decode", "classify", "total"}
        assert row.weights_sha256.startswith("57934424")
        assert photo.claim_token is None


@pytest.fixture
def refused(site: Site) -> Iterator[int]:
    """The id of a photo whose log row the database refuses."""
    table = check_log.name
    if site.engine.dialect.name == "sqlite":
        make = (
            f"CREATE TRIGGER refuses BEFORE INSERT ON {table} WHEN NEW.image_id = {site.ids[1]} "
            "BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
        undo = "DROP TRIGGER refuses"
    else:
        make = f"ALTER TABLE {table} ADD CONSTRAINT refuses CHECK (image_id <> {site.ids[1]})"
        undo = f"ALTER TABLE {table} DROP CONSTRAINT refuses"
    with writing(site.engine) as connection:
        connection.execute(text(make))
    yield site.ids[1]
    with writing(site.engine) as connection:
        connection.execute(text(undo))


def test_unwritable_verdict_affects_no_other_photo(
    site: Site, refused: int, caplog: pytest.LogCaptureFixture
) -> None:
    assert site.service().drain() == len(PHOTOS) - 1
    statuses = site.statuses()
    assert statuses[0] == Status.CAT
    assert statuses[1] == Status.CHECKING  # until its lease ends
    assert set(statuses[2:]) == {Status.NOT_CAT}
    assert f"photo {refused} waits for the end of its lease" in caplog.text
    with reading(site.engine) as connection:
        logged = connection.execute(select(check_log.c.photo_id).order_by(check_log.c.photo_id)).scalars()
        assert list(logged) == [id for id in site.ids if id != refused]


def test_bad_objects_affect_no_other_photo(site: Site) -> None:
    site.objects.put(ObjectKind.PHOTO, site.key(1), b"not a photo")
    delete_object(site.objects, ObjectKind.PHOTO, site.key(2))
    assert site.service().drain() == len(PHOTOS) - 2
    statuses = site.statuses()
    assert statuses[0] == Status.CAT
    assert statuses[1] == Status.PENDING  # wrong bytes are a fault of the store, so the photo is retried
    assert statuses[2] == Status.PENDING  # the missing object may appear later
    assert set(statuses[3:]) == {Status.NOT_CAT}
    assert site.service().drain() == 0


def test_photos_wait_while_s3_is_unavailable_and_lose_no_attempt(site: Site) -> None:
    nowhere = store_away((site.objects.photos_bucket, site.objects.thumbnails_bucket))
    for _ in range(4):  # more often than the maximum number of attempts
        assert site.service(S3ImageSource(nowhere)).drain() == 0
    assert set(site.statuses()) == {Status.PENDING}
    assert site.service().drain() == len(PHOTOS)
    with reading(site.engine) as connection:
        assert set(connection.execute(select(check_log.c.attempt)).scalars()) == {1}


def test_closed_checker_leaves_the_rest_to_the_next_one(site: Site) -> None:
    closing: list[threading.Thread] = []

    class Closing(S3ImageSource):
        """Closes its service while the first photos are being fetched."""

        def get(self, claim: Claim, rendition: Rendition) -> bytes:
            if not closing:
                closing.append(threading.Thread(target=first.close, args=(10,)))
                closing[0].start()
                while first.state()["state"] != "closed":
                    threading.Event().wait(0.01)
            return super().get(claim, rendition)

    first = site.service(Closing(site.objects), load_model(LITE0))
    done = first.drain()
    closing[0].join()
    assert done < len(PHOTOS)
    assert Status.CHECKING not in site.statuses()
    assert site.service().drain() == len(PHOTOS) - done
    with reading(site.engine) as connection:
        rows = list(connection.execute(select(check_log.c.photo_id)).scalars())
    assert sorted(rows) == site.ids


def test_human_verdict_is_kept(site: Site) -> None:
    with writing(site.engine) as connection:
        connection.execute(update(photos).where(photos.c.id == site.ids[0]).values(human_verdict="not_cat"))
    site.service().drain()
    assert site.statuses()[0] == Status.NOT_CAT
