"""Old decisions proven, taken again, and held against another network's: real networks, databases and S3."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import skimage
from PIL import Image as Picture
from sqlalchemy import Engine, insert, select, update

from catloader.checks.dispatch import Off
from catloader.checks.records import Compared, Replayed, replay, replay_key, shadow
from catloader.intake.upload import Uploaded, upload
from catloader.settings import Settings
from catloader.store.db.check_log import CheckLog
from catloader.store.db.engine import reading, utcnow, writing
from catloader.store.db.photos import Photos
from catloader.store.db.queue import SqlCheckQueue
from catloader.store.db.rechecks import Rechecks, Which
from catloader.store.db.schema import Status, check_log, photos
from catloader.store.db.users import Users
from catloader.store.kinds import ObjectKind
from catloader.store.s3.objects import ObjectStore, S3ImageSource
from catloader.wiring import load_classifier_and_rule
from checker.decision.operating_point import ThresholdRule, Thresholds
from checker.errors import CheckerError, ObjectMissing, StoreUnavailable
from checker.pipeline import LoadedModel, check_batch
from checker.ports import Classifier
from checker.values import Claim, Rendition
from tests.support.rows import add_images

PHOTOS = ("chelsea.png", "astronaut.png", "coffee.png", "rocket.jpg", "horse.png")
LITE0 = Settings(model="efficientnet_lite0", device="cpu", runtime="torch", precision="fp32")


@pytest.fixture(scope="module")
def network() -> Iterator[tuple[Classifier, ThresholdRule]]:
    classifier, rule = load_classifier_and_rule(LITE0)
    yield classifier, rule
    classifier.close()


@pytest.fixture(scope="module")
def served_network() -> Iterator[tuple[Classifier, ThresholdRule]]:
    """The form that serves by default."""
    classifier, rule = load_classifier_and_rule(
        dataclasses.replace(LITE0, runtime="auto", precision="auto", workers=2)
    )
    yield classifier, rule
    classifier.close()


class Site:
    """Photos that were uploaded and checked, in one micro-batch."""

    def __init__(
        self, engine: Engine, objects: ObjectStore, network: tuple[Classifier, ThresholdRule], folder: Path
    ) -> None:
        self.engine, self.objects = engine, objects
        self.classifier, self.rule = network
        self.log, self.source = CheckLog(engine), S3ImageSource(objects)
        self.images = Photos(engine)
        self.queue = SqlCheckQueue(engine, lease_s=60, max_attempts=3, backoff_s=0)
        self.owner_id = Users(engine).create("ada@example.org", "hash", utcnow()).id
        pictures = Path(skimage.__file__).parent / "data"
        done = upload(
            [(name, (pictures / name).read_bytes()) for name in PHOTOS],
            [],
            self.owner_id,
            settings=LITE0.with_changes(data_dir=folder, min_free_bytes=0),
            photos=self.images,
            objects=objects,
            dispatcher=Off(),
            now=utcnow,
        )
        self.ids = [one.photo_id for one in done if isinstance(one, Uploaded)]
        assert len(self.ids) == len(PHOTOS)
        self.check()

    def check(self) -> None:
        claims = self.queue.claim(100)
        for outcome in check_batch(claims, self.source, self.classifier, self.rule):
            assert self.queue.finish([outcome]) == [True]

    def replay(self, **how: Any) -> list[Replayed]:
        source = how.pop("source", self.source)
        return list(replay(self.log, source, self.classifier, self.rule, workers=2, **how))

    def differences(self, **how: Any) -> dict[int, str]:
        return {one.logged.record.photo_id: one.difference for one in self.replay(**how) if one.difference}

    def shadow(self, rule: ThresholdRule, **how: Any) -> list[Compared]:
        current, candidate = LoadedModel(self.classifier, self.rule), LoadedModel(self.classifier, rule)
        found = list(shadow(self.images, self.source, current, candidate, workers=2, **how))
        return [one for one in found if one is not None]

    def tamper(self, id: int, **columns: Any) -> None:
        with writing(self.engine) as connection:
            connection.execute(update(check_log).where(check_log.c.photo_id == id).values(columns))

    def row(self, id: int) -> Any:
        with reading(self.engine) as connection:
            return connection.execute(select(photos).where(photos.c.id == id)).one()

    def tables(self) -> list[Any]:
        with reading(self.engine) as connection:
            return [
                connection.execute(select(table).order_by(table.c.id)).all() for table in (photos, check_log)
            ]


@pytest.fixture
def site(
    engine: Engine, objects: ObjectStore, network: tuple[Classifier, ThresholdRule], tmp_path: Path
) -> Site:
    return Site(engine, objects, network, tmp_path)


@pytest.mark.parametrize("which", ["network", "served_network"])
def test_no_decision_differs_on_a_cpu(
    which: str, engine: Engine, objects: ObjectStore, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    site = Site(engine, objects, request.getfixturevalue(which), tmp_path)
    before = site.tables()
    replayed = site.replay()
    assert [one.logged.record.photo_id for one in replayed] == site.ids
    assert [one.difference for one in replayed] == [None] * len(PHOTOS)
    assert {one.logged.record.verdict for one in replayed} >= {"cat", "not_cat"}
    assert site.log.count_not_replayable(replay_key(site.classifier, site.rule)) == 0
    assert site.tables() == before


def test_a_replay_alone_gives_the_very_bits_of_the_batch(site: Site) -> None:
    for one in site.replay():
        record = one.logged.record
        claim = Claim(record.photo_id, "", one.logged.photo_key, one.logged.thumbnail_key, 1)
        outcome = check_batch([claim], site.source, site.classifier, site.rule)[0]
        assert outcome.decision is not None
        assert outcome.decision.score == record.score


def test_what_was_tampered_with_is_found(site: Site) -> None:
    cat, photo, thumbnail, score, wild = site.ids
    site.tamper(cat, verdict="not_cat")
    site.tamper(score, score=0.5)
    site.tamper(wild, wild_feline=True)
    other = _jpeg("orange")
    site.objects.put(ObjectKind.PHOTO, site.row(photo).photo_key, other)
    site.objects.put(ObjectKind.THUMBNAIL, site.row(thumbnail).thumbnail_key, other)
    found = site.differences()
    assert set(found) == set(site.ids)
    assert found[cat].startswith("not_cat ") and "now it is cat " in found[cat]
    assert found[photo] == "the photo in the store is not the one that was checked"
    assert found[thumbnail] == "the thumbnail in the store is not the one that was checked"
    assert found[score].startswith("not_cat 0.500000 was logged, now it is not_cat 0.0")
    assert " wild was logged" in found[wild]


@pytest.mark.parametrize(
    "column", ["weights_sha256", "runtime", "precision", "profile_id", "subject", "model"]
)
def test_other_networks_decisions_are_counted_not_replayed(site: Site, column: str) -> None:
    """The name alone does not matter: the weights do."""
    site.tamper(site.ids[0], **{column: "other", "score": 0.1234})
    others = site.log.count_not_replayable(replay_key(site.classifier, site.rule))
    assert (others, len(site.replay())) == ((0, 5) if column == "model" else (1, 4))


def test_errors_are_no_decisions(site: Site) -> None:
    with writing(site.engine) as connection:
        failed = {"photo_id": site.ids[0], "attempt": 1, "finished_at": utcnow(), "error": "away"}
        connection.execute(insert(check_log), failed)
    assert len(site.replay()) == len(PHOTOS)
    assert site.log.count_not_replayable(replay_key(site.classifier, site.rule)) == 0


def test_thresholds_are_those_of_the_day(site: Site) -> None:
    """The administrator asks for another rate: what was decided before is still what it was."""
    site.rule = site.rule.with_thresholds(Thresholds(cat_at=2.0, not_cat_below=2.0))
    assert site.differences() == {}
    site.tamper(site.ids[0], cat_at=2.0, not_cat_below=2.0)
    assert set(site.differences()) == {site.ids[0]}


def test_an_unreadable_photo_stays_unreadable(site: Site) -> None:
    row = site.row(site.ids[0])
    good = site.objects.get(ObjectKind.PHOTO, row.photo_key)
    site.objects.put(ObjectKind.PHOTO, row.photo_key, b"no picture")
    Rechecks(site.engine).set_back(Which(band=Status.CAT), utcnow())
    site.check()
    assert site.row(site.ids[0]).status == "unreadable"
    now = site.row(site.ids[0]).checked_at
    assert site.differences(since=now) == {}
    site.objects.put(ObjectKind.PHOTO, row.photo_key, good)
    assert "not the one" in site.differences(since=now)[site.ids[0]]
    site.tamper(site.ids[0], photo_sha256=None)
    assert site.differences(since=now) == {site.ids[0]: "unreadable was logged, now it is cat"}


def test_a_missing_picture_is_a_difference_and_a_deleted_photo_is_none(site: Site) -> None:
    gone, deleted = site.ids[:2]
    site.objects.delete(ObjectKind.PHOTO, site.row(gone).photo_key)

    class DeletedMeanwhile:
        def get(self, claim: Claim, rendition: Rendition) -> bytes:
            if claim.photo_id != deleted:
                return site.source.get(claim, rendition)
            site.images.delete(deleted, site.owner_id, utcnow())
            raise ObjectMissing("The photo is not in the store.")

    found = site.differences(source=DeletedMeanwhile())
    assert found == {gone: "no verdict now: The photo is not in the store."}


def test_a_store_that_is_away_ends_the_replay(site: Site) -> None:
    class Away:
        def get(self, claim: Claim, rendition: Rendition) -> bytes:
            raise StoreUnavailable("The object store did not answer.")

    with pytest.raises(CheckerError, match="did not answer"):
        site.replay(source=Away())
    with pytest.raises(CheckerError, match="did not answer"):
        loaded = LoadedModel(site.classifier, site.rule)
        list(shadow(site.images, Away(), loaded, loaded))


def test_a_gpus_scores_may_move_within_the_tolerance(site: Site) -> None:
    near, far, over = site.ids[1:4]
    scores = {one.logged.record.photo_id: one.logged.record.score or 0.0 for one in site.replay()}
    site.tamper(near, score=scores[near] + 0.01, device="cuda:0")
    site.tamper(far, score=scores[far] + 0.03, device="cuda:0")
    site.tamper(over, score=scores[over] + 0.01, device="cuda:0", verdict="unsure")
    found = {one.logged.record.photo_id: one for one in site.replay() if one.difference}
    assert {id: one.within_tolerance for id, one in found.items()} == {far: False, over: True}
    site.tamper(near, device="cpu")
    assert near in site.differences()


def test_since_and_sample(site: Site) -> None:
    for days, id in enumerate(site.ids):
        site.tamper(id, finished_at=utcnow() - timedelta(days=days))
    ran = replay_key(site.classifier, site.rule)
    since = utcnow() - timedelta(days=1, hours=1)
    assert [one.logged.record.photo_id for one in site.replay(since=since)] == site.ids[:2]
    site.tamper(site.ids[0], runtime="other")
    assert site.log.count_not_replayable(ran, since) == 1
    assert site.log.count_not_replayable(ran, utcnow() + timedelta(days=1)) == 0
    assert len(site.replay(sample=3)) == 3
    assert len(site.replay(sample=100)) == 4
    assert len(site.replay(since=since, sample=100)) == 1


def test_a_shadow_tells_flips_in_both_directions_and_writes_nothing(site: Site) -> None:
    before = site.tables()
    same = site.shadow(site.rule)
    assert [one.photo.photo_id for one in same] == site.ids
    assert not any(one.flips for one in same)
    cats = [one.photo.photo_id for one in same if one.current.verdict == "cat"]
    others = [one.photo.photo_id for one in same if one.current.verdict == "not_cat"]
    assert cats and others
    strict = site.shadow(site.rule.with_thresholds(Thresholds(2.0, 2.0)))
    assert [one.photo.photo_id for one in strict if one.flips and not one.towards_cat] == cats
    lenient = site.shadow(site.rule.with_thresholds(Thresholds(2.0, -1.0)))
    assert [one.photo.photo_id for one in lenient if one.flips and one.towards_cat] == others
    assert len(site.shadow(site.rule, sample=2)) == 2
    assert site.tables() == before


def test_a_shadow_is_another_network_on_the_same_bytes(site: Site) -> None:
    classifier, rule = load_classifier_and_rule(dataclasses.replace(LITE0, model="efficientnet_lite2"))
    current, candidate = LoadedModel(site.classifier, site.rule), LoadedModel(classifier, rule)
    compared = list(shadow(site.images, site.source, current, candidate, workers=2))
    for one in compared:
        assert one is not None
        claim = Claim(one.photo.photo_id, "", one.photo.photo_key, one.photo.thumbnail_key, 1)
        (alone,) = check_batch([claim], site.source, *candidate)
        assert alone.decision == one.candidate
        assert one.candidate.score != one.current.score
    classifier.close()


def test_a_shadow_leaves_out_what_cannot_be_read(site: Site) -> None:
    site.objects.put(ObjectKind.PHOTO, site.row(site.ids[0]).photo_key, b"no picture")
    assert [one.photo.photo_id for one in site.shadow(site.rule)] == site.ids[1:]


def test_a_recheck_gives_each_photo_all_its_attempts_and_the_same_verdict(site: Site) -> None:
    before = {id: (site.row(id).status, site.row(id).score) for id in site.ids}
    rechecks, everything = Rechecks(site.engine), Which(since=utcnow() - timedelta(days=1))
    assert rechecks.count(everything) == len(PHOTOS)
    assert rechecks.set_back(everything, utcnow()) == len(PHOTOS)
    assert {(site.row(id).status, site.row(id).attempts, site.row(id).score) for id in site.ids} == {
        ("pending", 0, None)
    }
    assert rechecks.count(everything) == 0
    site.check()
    assert {id: (site.row(id).status, site.row(id).score) for id in site.ids} == before


def test_a_recheck_takes_what_it_is_told(site: Site) -> None:
    rechecks = Rechecks(site.engine)
    digest = site.classifier.model_info.weights_sha256
    cats = [id for id in site.ids if site.row(id).status == "cat"]
    assert rechecks.count(Which(digest[:8])) == len(PHOTOS)
    assert rechecks.count(Which("%")) == 0
    # Only the latest verdict counts.
    with writing(site.engine) as connection:
        newer = {"photo_id": cats[0], "attempt": 1, "finished_at": utcnow(), "verdict": "cat"}
        connection.execute(insert(check_log), {**newer, "weights_sha256": "beef" * 16})
        connection.execute(insert(check_log), {**newer, "verdict": None, "error": "away"})
    assert rechecks.count(Which(digest[:8])) == len(PHOTOS) - 1
    assert rechecks.count(Which("beef", Status.CAT)) == 1
    assert rechecks.count(Which("beef", Status.NOT_CAT)) == 0
    assert rechecks.count(Which(since=utcnow() + timedelta(hours=1))) == 0
    assert rechecks.set_back(Which(band=Status.CAT), utcnow()) == len(cats)
    assert [id for id in site.ids if site.row(id).status == "pending"] == cats


def test_a_person_is_never_overruled(site: Site) -> None:
    cat, other = site.ids[:2]
    _decide(site.engine, cat, "not_cat")
    rechecks, everything = Rechecks(site.engine), Which(since=utcnow() - timedelta(days=1))
    assert (rechecks.count(everything), rechecks.count_decided_by_people(everything)) == (4, 1)
    before = site.row(cat)
    assert rechecks.set_back(everything, utcnow()) == 4
    assert site.row(cat) == before
    # A person decides while the photo waits for its second check.
    _decide(site.engine, other, "cat", status="pending")
    site.check()
    assert (site.row(other).status, site.row(other).human_verdict) == ("cat", "cat")


def test_a_photo_that_is_being_checked_is_left_alone(engine: Engine) -> None:
    ids = {status: add_images(engine, 1, status=status, checked_at=utcnow())[0] for status in Status}
    assert Rechecks(engine).set_back(Which(since=utcnow() - timedelta(days=1)), utcnow()) == 5
    with reading(engine) as connection:
        query = select(photos.c.id, photos.c.status)
        rows = {row.id: row.status for row in connection.execute(query)}
    assert rows.pop(ids[Status.CHECKING]) == "checking"
    assert set(rows.values()) == {"pending"}


def test_many_are_set_back_in_portions(engine: Engine) -> None:
    now: datetime = utcnow()
    ids = add_images(engine, 2001, status="unsure", checked_at=now)
    rechecks, unsure = Rechecks(engine), Which(band=Status.UNSURE)
    assert rechecks.set_back(unsure, now, limit=1001) == 1001
    assert rechecks.count(unsure) == 1000
    with reading(engine) as connection:
        left = connection.execute(select(photos.c.id).where(photos.c.status == "unsure")).scalars()
        assert sorted(left) == ids[1001:]
    assert rechecks.set_back(unsure, now) == 1000
    assert rechecks.count(unsure) == 0


def _decide(engine: Engine, id: int, verdict: str, status: str | None = None) -> None:
    with writing(engine) as connection:
        values = {"human_verdict": verdict, "human_verdict_at": utcnow(), "status": status or verdict}
        connection.execute(update(photos).where(photos.c.id == id).values(values))


def _jpeg(colour: str) -> bytes:
    out = io.BytesIO()
    Picture.new("RGB", (320, 320), colour).save(out, "JPEG")
    return out.getvalue()
