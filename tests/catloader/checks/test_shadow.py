"""Shadow runs of a candidate model, over real photos, databases and S3."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from catloader.checks.shadow import shadow
from catloader.store.db.checks.bulk import BulkTable
from catloader.store.db.photos.bin import Bin
from catloader.store.kinds import ObjectKind
from catloader.wiring import load_classifier_and_rule
from checker.decision.operating_point import Thresholds
from checker.errors import CheckerError, StoreUnavailable
from checker.pipeline import LoadedModel, check_batch
from checker.values import Claim, Rendition
from tests.catloader.checks.conftest import LITE0, CheckedSite
from tests.support.databases import ON_SQLITE


def test_shadow_finds_flips_in_both_directions_and_writes_nothing(site: CheckedSite) -> None:
    before = site.tables()
    same = site.shadow(site.rule)
    assert [result.photo.photo_id for result in same] == site.ids
    assert not any(result.flips for result in same)
    cats = [result.photo.photo_id for result in same if result.current.verdict == "cat"]
    others = [result.photo.photo_id for result in same if result.current.verdict == "not_cat"]
    assert cats and others
    strict = site.shadow(site.rule.with_thresholds(Thresholds(2.0, 2.0)))
    assert [result.photo.photo_id for result in strict if result.flips and not result.towards_cat] == cats
    lenient = site.shadow(site.rule.with_thresholds(Thresholds(2.0, -1.0)))
    assert [result.photo.photo_id for result in lenient if result.flips and result.towards_cat] == others
    assert len(site.shadow(site.rule, sample=2)) == 2
    assert site.tables() == before


@ON_SQLITE
def test_shadow_runs_another_model_on_the_same_bytes(site: CheckedSite) -> None:
    classifier, rule = load_classifier_and_rule(LITE0.with_changes(model="efficientnet_lite2"))
    current, candidate = LoadedModel(site.classifier, site.rule), LoadedModel(classifier, rule)
    results = list(shadow(site.photos, site.source, current, candidate, workers=2))
    for result in results:
        assert result is not None
        claim = Claim(result.photo.photo_id, "", result.photo.photo_key, result.photo.thumbnail_key, 1)
        (alone,) = check_batch([claim], site.source, *candidate)
        assert alone.decision == result.candidate
        assert result.candidate.score != result.current.score
    classifier.close()


@ON_SQLITE
def test_shadow_leaves_out_unreadable_photos(site: CheckedSite) -> None:
    site.store_instead(site.ids[0], b"not a photo", known=True)
    assert [result.photo.photo_id for result in site.shadow(site.rule)] == site.ids[1:]


@ON_SQLITE
def test_shadow_leaves_out_altered_photos_and_logs_them(
    site: CheckedSite, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = site.ids[:2]
    other = site.objects.get(ObjectKind.PHOTO, site.row(second).photo_key)
    site.store_instead(first, other, known=False)
    assert [result.photo.photo_id for result in site.shadow(site.rule)] == site.ids[1:]
    (alarm,) = (record.message for record in caplog.records if record.levelname == "ERROR")
    assert alarm.startswith(f"photo {first}: the object store holds other bytes")


def test_shadow_leaves_out_photos_in_the_bin(site: CheckedSite, engine: Engine) -> None:
    deleted = site.row(site.ids[0])
    assert Bin(engine, days=30).put([deleted.id], deleted.owner_id) == 1
    assert [result.photo.photo_id for result in site.shadow(site.rule)] == site.ids[1:]
    assert [row[0] for row in BulkTable(engine).decided()] == site.ids[1:]


@ON_SQLITE
def test_an_unavailable_store_ends_the_shadow_run(site: CheckedSite) -> None:
    class Away:
        def get(self, claim: Claim, rendition: Rendition) -> bytes:
            raise StoreUnavailable("The object store did not answer.")

    loaded = LoadedModel(site.classifier, site.rule)
    with pytest.raises(CheckerError, match="did not answer"):
        list(shadow(site.photos, Away(), loaded, loaded))
