"""Measuring labelled photos, with and without augmentations."""

from __future__ import annotations

import numpy as np
import pytest

from checker.decision.subject import SUBJECTS
from checker.evaluation.augment import PASTED, SOFT
from checker.evaluation.data_sets.read import labelled_photos
from checker.evaluation.examples import Examples
from checker.evaluation.measure import Measured, measure
from checker.evaluation.photos import CAT, NOT_CAT, LabelledPhoto, UnusablePhotos
from checker.values import INPUTS_PER_PHOTO, Rendition
from tests.support.fakes import StubClassifier
from tests.support.photo_sets import OWN_PHOTOS

PHOTOS = labelled_photos(OWN_PHOTOS.folder)


@pytest.fixture(scope="module")
def first() -> Measured:
    return measure(PHOTOS, StubClassifier(), augmented=True)


@pytest.mark.slow
def test_each_photo_has_two_soft_augmentations_and_a_pasted_one_and_every_run_has_the_same(
    first: Measured,
) -> None:
    plain, second = (measure(PHOTOS, StubClassifier(), augmented=augmented) for augmented in (False, True))
    assert plain.augmented is None
    assert first.augmented is not None
    assert second.augmented is not None
    n = len(PHOTOS)
    assert first.augmented.photo.tolist() == np.repeat(np.arange(n), 3).tolist()
    assert first.augmented.augmentation.tolist() == n * [SOFT, SOFT, PASTED]
    assert first.augmented.evidence.features.shape == (3 * n, INPUTS_PER_PHOTO, 1, 3)
    assert np.array_equal(first.augmented.evidence.features, second.augmented.evidence.features)
    assert np.array_equal(first.evidence.features, plain.evidence.features)


@pytest.mark.parametrize("label", [CAT, NOT_CAT])
def test_a_photo_that_cannot_be_decoded_is_named(label: str) -> None:
    """Photos without the subject are read first, as those that others are pasted into."""
    broken = LabelledPhoto("photo-7", label, lambda: dict.fromkeys(Rendition, b"not a photo"))
    with pytest.raises(UnusablePhotos, match=r"^photo-7: This is not a photo"):
        measure([broken], StubClassifier(), augmented=True)


def test_examples_exclude_wild_felines_and_their_augmentations(first: Measured) -> None:
    examples = Examples.of(SUBJECTS["house_cat"], first)
    known = int((~first.wild).sum())
    assert known < len(PHOTOS)
    assert int(examples.plain.sum()) == known
    assert len(examples.augmentation) == 4 * known
    assert np.bincount(examples.photo).tolist() == known * [4]
    assert np.array_equal(examples.positive[examples.plain], first.positive[~first.wild])
    augmented = ~examples.plain
    assert np.array_equal(
        examples.positive[augmented], examples.positive[examples.plain][examples.photo[augmented]]
    )
