"""Augmentations of a photo's inputs."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from checker.evaluation.augment import SOFT_AUGMENTATIONS, pasted, soft
from checker.pixels.detail import detail_of
from checker.values import INPUTS_PER_PHOTO
from tests.support.photo_sets import OWN_PHOTOS

CAT = np.asarray(Image.open(OWN_PHOTOS.folder / "cat/chelsea.jpg").resize((224, 224)))
INPUTS = np.stack([CAT] * INPUTS_PER_PHOTO)
BACKGROUND = np.full_like(INPUTS, 7)


@pytest.mark.parametrize("augmentation", SOFT_AUGMENTATIONS)
def test_soft_augmentations_keep_the_shape_and_change_the_pixels(augmentation: str) -> None:
    for seed in range(5):
        result = soft(INPUTS, augmentation, np.random.default_rng(seed))
        assert result.shape == INPUTS.shape
        assert result.dtype == np.uint8
        assert np.array_equal(result[0], result[2]), "all inputs change alike"
        assert np.abs(result.astype(int) - INPUTS).mean() > 1


@pytest.mark.parametrize(
    ("augmentation", "expected"), [("blurred", True), ("tiny", True), ("dark", True), ("compressed", False)]
)
def test_all_augmentations_except_compressed_ones_are_soft_photos(augmentation: str, expected: bool) -> None:
    made = [detail_of(soft(INPUTS, augmentation, np.random.default_rng(seed))[-1]).soft for seed in range(20)]
    assert (np.mean(made) > 0.5) == expected


def test_a_pasted_photo_lies_in_one_end_and_covers_a_fifth_to_two_thirds_of_it() -> None:
    shares, ends = [], set()
    for seed in range(60):
        result = pasted(BACKGROUND, CAT, np.random.default_rng(seed))
        changed = (result != BACKGROUND).any(axis=3)
        assert not changed[-1].any(), "the thumbnail shows the background alone"
        (end,) = np.flatnonzero(changed.any(axis=(1, 2)))
        ends.add(int(end))
        shares.append(float(changed[end].mean()))
    assert ends == {0, 1}
    assert 0.1 < min(shares) < 0.3
    assert 0.5 < max(shares) < 0.7
    assert (BACKGROUND == 7).all()
