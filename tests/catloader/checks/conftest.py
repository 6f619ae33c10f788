"""A site with checked photos (real model, databases and S3), and a counter of wake-ups by a broker."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import skimage
from PIL import Image
from sqlalchemy import Engine, select, update

from catloader.checks.broker import Broker, BrokerListener
from catloader.checks.dispatch import Off
from catloader.checks.replay import Replayed, replay
from catloader.checks.shadow import Compared, shadow
from catloader.intake.upload import Uploaded, upload
from catloader.settings import Settings
from catloader.store.db.accounts.users import Users
from catloader.store.db.checks.check_log import CheckLog
from catloader.store.db.checks.queue import SqlCheckQueue
from catloader.store.db.engine import reading, utcnow, writing
from catloader.store.db.photos.photos import Photos
from catloader.store.db.schema import check_log, photos
from catloader.store.kinds import ObjectKind
from catloader.store.s3.objects import ObjectStore, S3ImageSource
from catloader.wiring import load_classifier_and_rule
from checker.decision.operating_point import ThresholdRule
from checker.pipeline import LoadedModel, check_batch
from checker.ports import Classifier
from tests.support.broker import BrokerServer
from tests.support.copies import Copy, copy_of, fill_from
from tests.support.preparing import prepare_here
from tests.support.rabbitmq import RabbitMq
from tests.support.wake_up_counter import WakeUpCounter

PHOTOS = ("chelsea.png", "astronaut.png", "coffee.png", "rocket.jpg", "horse.png")
LITE0 = Settings(model="efficientnet_lite0", device="cpu", runtime="torch", precision="fp32")

Model = tuple[Classifier, ThresholdRule]


@pytest.fixture(scope="session")
def lite0() -> Iterator[Model]:
    classifier, rule = load_classifier_and_rule(LITE0)
    yield classifier, rule
    classifier.close()


@pytest.fixture(scope="session")
def default_variant() -> Iterator[Model]:
    """The variant that serves by default on this machine."""
    classifier, rule = load_classifier_and_rule(
        LITE0.with_changes(runtime="auto", precision="auto", workers=2)
    )
    yield classifier, rule
    classifier.close()


class CheckedSite:
    """Photos that were uploaded and checked, in one micro-batch."""

    def __init__(self, engine: Engine, objects: ObjectStore, model: Model) -> None:
        self.engine, self.objects = engine, objects
        self.classifier, self.rule = model
        self.log, self.source = CheckLog(engine), S3ImageSource(objects)
        self.photos = Photos(engine)
        self.queue = SqlCheckQueue(engine, lease_s=60, max_attempts=3, backoff_s=0)
        self.ids: list[int] = []

    def fill(self, folder: Path) -> None:
        """Upload the photos, and check them."""
        owner_id = Users(self.engine).create("ada@example.org", "hash", utcnow()).id
        samples = Path(skimage.__file__).parent / "data"
        outcomes = upload(
            [(name, (samples / name).read_bytes()) for name in PHOTOS],
            [],
            owner_id,
            settings=LITE0.with_changes(data_dir=folder, min_free_bytes=0),
            prepare=prepare_here(),
            photos=self.photos,
            objects=self.objects,
            dispatcher=Off(),
        )
        self.ids = [outcome.photo_id for outcome in outcomes if isinstance(outcome, Uploaded)]
        assert len(self.ids) == len(PHOTOS)
        self.check()

    def fill_from(self, copy: Copy) -> None:
        """Copy the photos of another site, which is much faster than to check them again."""
        fill_from(copy, self.engine, self.objects)
        with reading(self.engine) as connection:
            self.ids = list(connection.execute(select(photos.c.id).order_by(photos.c.id)).scalars())

    def check(self) -> None:
        """Check all waiting photos, as a checker does."""
        claims = self.queue.claim(100)
        for outcome in check_batch(claims, self.source, self.classifier, self.rule):
            assert self.queue.finish([outcome]) == [True]

    def replay(self, **options: Any) -> list[Replayed]:
        source = options.pop("source", self.source)
        return list(replay(self.log, source, self.classifier, self.rule, workers=2, **options))

    def differences(self, **options: Any) -> dict[int, str]:
        """Return photo id -> difference, for decisions that a replay does not reproduce."""
        return {
            result.logged.record.photo_id: result.difference
            for result in self.replay(**options)
            if result.difference
        }

    def shadow(self, rule: ThresholdRule, **options: Any) -> list[Compared]:
        """Compare a candidate rule with the current one; unreadable photos are left out."""
        current, candidate = LoadedModel(self.classifier, self.rule), LoadedModel(self.classifier, rule)
        results = shadow(self.photos, self.source, current, candidate, workers=2, **options)
        return [result for result in results if result is not None]

    def tamper(self, id: int, **columns: Any) -> None:
        """Change the photo's rows in the check log."""
        with writing(self.engine) as connection:
            connection.execute(update(check_log).where(check_log.c.photo_id == id).values(columns))

    def store_instead(self, id: int, data: bytes, *, known: bool) -> None:
        """Replace the photo's bytes in the store; ``known``: the row gets their SHA-256."""
        self.objects.put(ObjectKind.PHOTO, self.row(id).photo_key, data)
        if known:
            values = {"sha256": hashlib.sha256(data).hexdigest()}
            with writing(self.engine) as connection:
                connection.execute(update(photos).where(photos.c.id == id).values(values))

    def row(self, id: int) -> Any:
        with reading(self.engine) as connection:
            return connection.execute(select(photos).where(photos.c.id == id)).one()

    def tables(self) -> list[Any]:
        """Return all rows of photos and check log."""
        with reading(self.engine) as connection:
            return [
                connection.execute(select(table).order_by(table.c.id)).all() for table in (photos, check_log)
            ]


@pytest.fixture(scope="session")
def copies() -> dict[str, Copy]:
    """A copy of one checked site on each kind of database."""
    return {}


@pytest.fixture
def site(
    engine: Engine, objects: ObjectStore, lite0: Model, tmp_path: Path, copies: dict[str, Copy]
) -> CheckedSite:
    site, kind = CheckedSite(engine, objects, lite0), engine.dialect.name
    if kind in copies:
        site.fill_from(copies[kind])
    else:
        site.fill(tmp_path)
        copies[kind] = copy_of(engine, objects)
    return site


def jpeg(colour: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (320, 320), colour).save(out, "JPEG")
    return out.getvalue()


@pytest.fixture
def wake_ups(server: BrokerServer | RabbitMq) -> Iterator[WakeUpCounter]:
    """A wake-up counter behind a listener, connected to the server of the test's module."""
    wake_ups = WakeUpCounter()
    listener = BrokerListener(Broker(server.url), wake_ups, retry_s=0.1)
    listener.start()
    assert wake_ups.wait_for_next(), "the listener wakes once when it has connected"
    yield wake_ups
    listener.close()
