"""Replays of logged decisions, with a real model, real databases and S3."""

from __future__ import annotations

import hashlib
import io
from datetime import timedelta
from pathlib import Path

import pytest
from PIL import Image, ImageFilter, ImageOps
from sqlalchemy import Engine, insert, update

from catloader.checks.replay import AsPhotosLie, replay_key
from catloader.store.db.checks.rechecks import RecheckFilter, Rechecks
from catloader.store.db.engine import utcnow, writing
from catloader.store.db.schema import Status, check_log, photos
from catloader.store.kinds import ObjectKind
from catloader.store.s3.objects import ObjectStore
from checker.decision.operating_point import Thresholds
from checker.errors import CheckerError, ObjectMissing, StoreUnavailable
from checker.pipeline import check_batch
from checker.values import Claim, Rendition
from tests.catloader.checks.conftest import PHOTOS, CheckedSite, jpeg
from tests.support.databases import ON_SQLITE
from tests.support.object_stores import delete_object
from tests.support.photo_sets import OWN_PHOTOS
from tests.support.rows import delete_photo


@pytest.mark.parametrize("model", ["lite0", "default_variant"])
def test_no_decision_differs_on_a_cpu(
    model: str, engine: Engine, objects: ObjectStore, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    site = CheckedSite(engine, objects, request.getfixturevalue(model))
    site.fill(tmp_path)
    before = site.tables()
    results = site.replay()
    assert [result.logged.record.photo_id for result in results] == site.ids
    assert [result.difference for result in results] == [None] * len(PHOTOS)
    assert {result.logged.record.verdict for result in results} >= {"cat", "not_cat"}
    assert site.log.count_not_replayable(replay_key(site.classifier, site.rule)) == 0
    assert site.tables() == before


@ON_SQLITE
def test_a_replay_in_a_batch_of_one_gives_the_same_bits_as_the_batch(site: CheckedSite) -> None:
    for result in site.replay():
        record = result.logged.record
        claim = Claim(record.photo_id, "", result.logged.photo_key, result.logged.thumbnail_key, 1)
        outcome = check_batch([claim], site.source, site.classifier, site.rule)[0]
        assert outcome.decision is not None
        assert outcome.decision.score == record.score


def test_tampering_with_log_or_objects_is_detected(site: CheckedSite) -> None:
    cat, photo, thumbnail, score, wild = site.ids
    site.tamper(cat, verdict="not_cat")
    site.tamper(score, score=0.5, turned_deg=90)
    site.tamper(wild, wild_feline=True)
    other = jpeg("orange")
    site.objects.put(ObjectKind.PHOTO, site.row(photo).photo_key, other)
    site.objects.put(ObjectKind.THUMBNAIL, site.row(thumbnail).thumbnail_key, other)
    differences = site.differences()
    assert set(differences) == set(site.ids)
    assert differences[cat].startswith("not_cat ") and "now it is cat " in differences[cat]
    assert differences[photo] == "the photo in the store is not the one that was checked"
    assert differences[thumbnail] == "the thumbnail in the store is not the one that was checked"
    assert differences[score].startswith(
        "not_cat 0.500000 rotated by 90 degrees was logged, now it is not_cat 0.0"
    )
    assert " wild was logged" in differences[wild]


@pytest.mark.parametrize(
    "column", ["weights_sha256", "runtime", "precision", "profile_id", "subject", "model"]
)
def test_decisions_of_other_models_are_counted_not_replayed(site: CheckedSite, column: str) -> None:
    """A replay needs the same weights; the model's name does not matter."""
    site.tamper(site.ids[0], **{column: "other", "score": 0.1234})
    others = site.log.count_not_replayable(replay_key(site.classifier, site.rule))
    assert (others, len(site.replay())) == ((0, 5) if column == "model" else (1, 4))


def test_failed_attempts_are_not_replayed(site: CheckedSite) -> None:
    with writing(site.engine) as connection:
        failed = {"photo_id": site.ids[0], "attempt": 1, "finished_at": utcnow(), "error": "away"}
        connection.execute(insert(check_log), failed)
    assert len(site.replay()) == len(PHOTOS)
    assert site.log.count_not_replayable(replay_key(site.classifier, site.rule)) == 0


def test_each_decision_is_replayed_with_the_thresholds_of_its_time(site: CheckedSite) -> None:
    """Earlier decisions do not change when the administrator asks for another rate."""
    site.rule = site.rule.with_thresholds(Thresholds(cat_at=2.0, not_cat_below=2.0))
    assert site.differences() == {}
    site.tamper(site.ids[0], cat_at=2.0, not_cat_below=2.0)
    assert set(site.differences()) == {site.ids[0]}


@ON_SQLITE
def test_a_soft_photo_is_replayed_with_the_threshold_for_soft_photos(site: CheckedSite) -> None:
    row = site.row(site.ids[0])
    with Image.open(io.BytesIO(site.objects.get(ObjectKind.THUMBNAIL, row.thumbnail_key))) as thumbnail:
        blurred = io.BytesIO()
        thumbnail.filter(ImageFilter.GaussianBlur(8)).save(blurred, "JPEG")
    site.objects.put(ObjectKind.THUMBNAIL, row.thumbnail_key, blurred.getvalue())
    with writing(site.engine) as connection:
        stored = {"thumbnail_sha256": hashlib.sha256(blurred.getvalue()).hexdigest()}
        connection.execute(update(photos).where(photos.c.id == row.id).values(stored))
    site.rule = site.rule.with_thresholds(Thresholds(cat_at=0.001, not_cat_below=0.0, soft_cat_at=0.002))
    Rechecks(site.engine).requeue(RecheckFilter(status=Status.CAT))
    site.check()
    now = site.row(row.id).checked_at
    (replayed,) = site.replay(since=now)
    assert (replayed.logged.record.verdict, replayed.logged.record.cat_at) == ("cat", 0.002)
    assert replayed.difference is None


@ON_SQLITE
def test_a_turned_photo_is_replayed_as_it_was_judged(site: CheckedSite) -> None:
    """Earlier versions judged it as it lay, and recorded no rotation."""
    row, stored = site.row(site.ids[0]), {}
    with Image.open(OWN_PHOTOS.folder / "cat" / "ginger_kitten.jpg") as image:
        turned = image.convert("RGB").transpose(Image.Transpose.ROTATE_90)
    photo, thumbnail = io.BytesIO(), io.BytesIO()
    turned.save(photo, "JPEG", quality=92)
    ImageOps.fit(turned, (320, 320)).save(thumbnail, "JPEG", quality=92)
    for kind, key, column, file in (
        (ObjectKind.PHOTO, row.photo_key, "sha256", photo),
        (ObjectKind.THUMBNAIL, row.thumbnail_key, "thumbnail_sha256", thumbnail),
    ):
        site.objects.put(kind, key, file.getvalue())
        stored[column] = hashlib.sha256(file.getvalue()).hexdigest()
    with writing(site.engine) as connection:
        connection.execute(update(photos).where(photos.c.id == row.id).values(stored))
    Rechecks(site.engine).requeue(RecheckFilter(status=Status.CAT))
    site.check()
    now = site.row(row.id).checked_at
    (replayed,) = site.replay(since=now)
    record = replayed.logged.record
    assert (record.turned_deg, replayed.difference) == (90, None)
    site.tamper(row.id, turned_deg=None)
    assert "now it is" in site.differences(since=now)[row.id]
    claim = Claim(row.id, "", row.photo_key, row.thumbnail_key, attempt=1)
    (as_it_lies,) = check_batch([claim], site.source, AsPhotosLie(site.classifier), site.rule)
    assert as_it_lies.decision is not None
    assert as_it_lies.decision.turned_deg == 0
    site.tamper(row.id, score=as_it_lies.decision.score, verdict=as_it_lies.decision.verdict)
    assert site.differences(since=now) == {}
    site.tamper(row.id, turned_deg=0, device="cuda:0")  # near a limit, noise decides if a photo is rotated
    (noisy,) = site.replay(since=now)
    assert noisy.difference is None or noisy.within_tolerance
    site.tamper(row.id, device="cpu")
    assert row.id in site.differences(since=now)


@ON_SQLITE
def test_an_unreadable_photo_stays_unreadable(site: CheckedSite) -> None:
    row = site.row(site.ids[0])
    good = site.objects.get(ObjectKind.PHOTO, row.photo_key)
    broken = b"not a photo"
    site.objects.put(ObjectKind.PHOTO, row.photo_key, broken)
    with writing(site.engine) as connection:
        stored = {"sha256": hashlib.sha256(broken).hexdigest()}
        connection.execute(update(photos).where(photos.c.id == row.id).values(stored))
    Rechecks(site.engine).requeue(RecheckFilter(status=Status.CAT))
    site.check()
    assert site.row(site.ids[0]).status == "unreadable"
    now = site.row(site.ids[0]).checked_at
    assert site.differences(since=now) == {}
    site.objects.put(ObjectKind.PHOTO, row.photo_key, good)
    assert "not the one" in site.differences(since=now)[site.ids[0]]
    site.tamper(site.ids[0], photo_sha256=None)
    assert site.differences(since=now) == {site.ids[0]: "unreadable was logged, now it is cat"}


@ON_SQLITE
def test_a_missing_object_is_a_difference_and_a_deleted_photo_is_not(site: CheckedSite) -> None:
    missing, deleted = site.ids[:2]
    delete_object(site.objects, ObjectKind.PHOTO, site.row(missing).photo_key)

    class DeletedMeanwhile:
        def get(self, claim: Claim, rendition: Rendition) -> bytes:
            if claim.photo_id != deleted:
                return site.source.get(claim, rendition)
            delete_photo(site.engine, deleted, site.row(deleted).owner_id)
            raise ObjectMissing("The photo is not in the store.")

    differences = site.differences(source=DeletedMeanwhile())
    assert differences == {missing: "no verdict now: The photo is not in the store."}


@ON_SQLITE
def test_an_unavailable_store_ends_the_replay(site: CheckedSite) -> None:
    class Away:
        def get(self, claim: Claim, rendition: Rendition) -> bytes:
            raise StoreUnavailable("The object store did not answer.")

    with pytest.raises(CheckerError, match="did not answer"):
        site.replay(source=Away())


@ON_SQLITE
def test_scores_of_a_gpu_may_differ_within_the_tolerance(site: CheckedSite) -> None:
    near, far, over = site.ids[1:4]
    scores = {result.logged.record.photo_id: result.logged.record.score or 0.0 for result in site.replay()}
    site.tamper(near, score=scores[near] + 0.01, device="cuda:0")
    site.tamper(far, score=scores[far] + 0.03, device="cuda:0")
    site.tamper(over, score=scores[over] + 0.01, device="cuda:0", verdict="unsure")
    different = {result.logged.record.photo_id: result for result in site.replay() if result.difference}
    assert {id: result.within_tolerance for id, result in different.items()} == {far: False, over: True}
    site.tamper(near, device="cpu")
    assert near in site.differences()


def test_since_and_sample_limit_the_replay(site: CheckedSite) -> None:
    for days, id in enumerate(site.ids):
        site.tamper(id, finished_at=utcnow() - timedelta(days=days))
    key = replay_key(site.classifier, site.rule)
    since = utcnow() - timedelta(days=1, hours=1)
    assert [result.logged.record.photo_id for result in site.replay(since=since)] == site.ids[:2]
    site.tamper(site.ids[0], runtime="other")
    assert site.log.count_not_replayable(key, since) == 1
    assert site.log.count_not_replayable(key, utcnow() + timedelta(days=1)) == 0
    assert len(site.replay(sample=3)) == 3
    assert len(site.replay(sample=100)) == 4
    assert len(site.replay(since=since, sample=100)) == 1
