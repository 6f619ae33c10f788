"""Scores are measured once, stored on disk, and equal those of the site's rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import cast

import numpy as np
import pytest

from checker import upright, values
from checker.decision.operating_point import SHIPPED_PROFILES, ThresholdRule
from checker.decision.subject import SUBJECTS
from checker.evaluation import augment, examples
from checker.evaluation.measure import measure
from checker.evaluation.photos import CAT, LabelledPhoto
from checker.evaluation.provenance import ROOT
from checker.evaluation.variants import NamedVariant
from checker.ports import Classifier
from checker.runtimes.selection import select as selection
from checker.values import Rendition, Verdict
from models.catalogue import class_names
from scripts.accuracy.rules import rules
from scripts.accuracy.scores import held_out, scoring
from scripts.accuracy.scores.cache import CODE
from scripts.accuracy.scores.held_out import joined
from scripts.accuracy.scores.scoring import CHUNK_PHOTOS, Scorer
from tests.support.photo_sets import OWN_PHOTOS

HOUSE_CAT = SUBJECTS["house_cat"]
CATS = [photo for photo in OWN_PHOTOS.photos if photo.label == CAT]
PHOTOS = sorted([*CATS, *OWN_PHOTOS.photos[5:9], OWN_PHOTOS.photos[-1]], key=lambda photo: photo.name)


@pytest.fixture(scope="module")
def classifier() -> Iterator[Classifier]:
    loaded = NamedVariant("efficientnet_lite0", precision="fp32").load()
    yield loaded
    loaded.close()


def scorer(classifier: Classifier, folder: Path, *, resume: bool = True) -> Scorer:
    return Scorer(classifier, HOUSE_CAT, [SHIPPED_PROFILES], folder, resume)


def unreadable() -> Mapping[Rendition, bytes]:
    raise AssertionError("the photo was read again")


def unread(photos: list[LabelledPhoto]) -> list[LabelledPhoto]:
    """Return photos that can only come from the cache."""
    return [replace(photo, read=unreadable, source_sha256=partial(str, photo.digest())) for photo in photos]


def test_verdicts_equal_those_of_the_sites_rule(classifier: Classifier, tmp_path: Path) -> None:
    scores = scorer(classifier, tmp_path).score(PHOTOS)
    assert scores.profile is not None
    rule = ThresholdRule(HOUSE_CAT, class_names(), profile=scores.profile)
    measured = measure(PHOTOS, classifier)
    decisions = [rule.decide(measured.evidence[i]) for i in range(len(PHOTOS))]
    assert [row.score for row in scores.rows] == [decision.score for decision in decisions]
    assert [row.top for row in scores.rows] == [
        decision.labels[Rendition.PHOTO][0].index for decision in decisions
    ]
    catloader = rules(scores, HOUSE_CAT, 0.01, 0.01)[0]
    verdicts = [decision.verdict for decision in decisions]
    assert catloader.verdicts.tolist() == [
        one for one, wild in zip(verdicts, scores.wild, strict=True) if not wild
    ]
    assert set(catloader.verdicts) == {Verdict.CAT, Verdict.NOT_CAT}
    assert [row.wild for row in scores.rows] == [bool(wild) for wild in scores.wild]
    assert scores.data == measured.data


def test_a_second_report_measures_nothing(classifier: Classifier, tmp_path: Path) -> None:
    first = scorer(classifier, tmp_path).score(PHOTOS)
    second = scorer(classifier, tmp_path).score(unread(PHOTOS))
    assert (second.rows, second.data) == (first.rows, first.data)
    assert (first.photos_per_s or 0) > 0
    assert second.photos_per_s is None
    with pytest.raises(AssertionError, match="read again"):
        scorer(classifier, tmp_path, resume=False).score(unread(PHOTOS))


def test_an_interrupted_run_resumes_even_after_an_incomplete_line(
    classifier: Classifier, tmp_path: Path
) -> None:
    """The run ends at the photo after the first write, and the last line is cut off, as by a full disk."""
    photos = [
        replace(PHOTOS[number % len(PHOTOS)], source_sha256=partial(str, number))
        for number in range(CHUNK_PHOTOS + 1)
    ]
    assert CHUNK_PHOTOS <= 32
    with pytest.raises(AssertionError, match="read again"):
        scorer(classifier, tmp_path).score([*photos[:-1], replace(photos[-1], read=unreadable)])
    (cache,) = tmp_path.iterdir()
    cache.write_bytes(cache.read_bytes()[:-9])
    scores = scorer(classifier, tmp_path).score([*unread(photos[:-2]), *photos[-2:]])
    assert scores.names == [photo.name for photo in photos]
    again = scorer(classifier, tmp_path).score(unread(photos))
    assert again.rows == scores.rows


def test_another_profile_or_photo_is_measured_again(classifier: Classifier, tmp_path: Path) -> None:
    scorer(classifier, tmp_path).score(PHOTOS[:1])
    uncalibrated = Scorer(classifier, HOUSE_CAT, [], tmp_path, True)
    with pytest.raises(AssertionError, match="read again"):
        uncalibrated.score(unread(PHOTOS[:1]))
    with pytest.raises(AssertionError, match="read again"):
        scorer(classifier, tmp_path).score(unread(PHOTOS[1:2]))


def test_another_preprocessing_is_measured_again(classifier: Classifier, tmp_path: Path) -> None:
    """Without a profile, only the preprocessing differs."""
    bilinear = replace(classifier.preprocessing, interpolation="bilinear")
    other = cast(
        Classifier,
        SimpleNamespace(model_info=classifier.model_info, preprocessing=bilinear, run=classifier.run),
    )
    Scorer(classifier, HOUSE_CAT, [], tmp_path, True).score(PHOTOS[:1])
    with pytest.raises(AssertionError, match="read again"):
        Scorer(other, HOUSE_CAT, [], tmp_path, True).score(unread(PHOTOS[:1]))


@pytest.mark.parametrize("pattern", CODE)
def test_code_that_a_score_depends_on_is_found(pattern: str) -> None:
    assert list(ROOT.glob(pattern))


@pytest.mark.parametrize("part", [augment, examples, held_out, scoring, selection, upright, values])
def test_scores_of_other_code_are_not_reused(part: ModuleType) -> None:
    assert Path(part.__file__ or "") in {path for pattern in CODE for path in ROOT.glob(pattern)}


def test_measurements_of_parts_are_concatenated_to_the_measurement_of_the_whole(
    classifier: Classifier,
) -> None:
    whole = measure(PHOTOS, classifier)
    parts = joined([measure(PHOTOS[:3], classifier), measure(PHOTOS[3:], classifier)])
    assert parts.names == whole.names
    assert (parts.labels == whole.labels).all()
    np.testing.assert_allclose(parts.evidence.logits, whole.evidence.logits, atol=1e-4)
    assert parts.evidence.features.shape == whole.evidence.features.shape
