"""``scripts/fit_orientation.py``: rows of rotated photos, and the file that it writes."""

from __future__ import annotations

import numpy as np
import pytest

from checker.decision.subject import load_subject
from checker.evaluation.augment import AUGMENTATIONS, PASTED, SOFT, augmented, background_rows
from checker.evaluation.measure import inputs_of
from checker.evaluation.photos import WILD_FELINE
from checker.upright import rotate
from checker.values import Activations, Pixels
from scripts import fit_orientation
from scripts.orientation.measure import measure_orientations
from tests.support.fakes import StubClassifier
from tests.support.photo_sets import OWN_PHOTOS


class CornerClassifier(StubClassifier):
    """A model whose features are the mean of the upper left corner of its input."""

    def run(self, batch: Pixels) -> Activations:
        activations = super().run(batch)
        corner = batch[:, :100, :100].mean(axis=(1, 2), dtype=np.float64).astype(np.float32)
        return Activations(activations.logits, corner[:, np.newaxis])


def test_each_row_of_rotated_photos_is_that_of_the_upright_photo() -> None:
    photos = [*OWN_PHOTOS.photos[::6], *(one for one in OWN_PHOTOS.photos if one.label == WILD_FELINE)]
    classifier = CornerClassifier()
    measured = measure_orientations(photos, classifier, load_subject("house_cat"))
    known = [photo for photo in photos if photo.label != WILD_FELINE]
    assert len(known) < len(photos)
    upright = measured.upright
    assert upright.plain.sum() == len(known)
    assert set(upright.augmentation[~upright.plain]) == {SOFT}
    assert PASTED in measured.examples.augmentation
    backgrounds = [
        inputs_of(photos[row], classifier) for row in background_rows([one.label for one in photos])
    ]
    for number, photo in enumerate(known):
        inputs = inputs_of(photo, classifier)
        soft = [
            pixels
            for pixels, augmentation in zip(
                augmented(photos.index(photo), inputs, backgrounds), AUGMENTATIONS, strict=True
            )
            if augmentation == SOFT
        ]
        rows = np.flatnonzero(upright.photo == number)
        for quarters, rotated in enumerate((upright, *measured.rotated)):
            expected = [classifier.run(rotate(pixels, quarters)).features for pixels in (inputs, *soft)]
            np.testing.assert_array_equal(rotated.features[rows], expected)
            assert (rotated.photo == upright.photo).all()


def test_too_few_photos_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert fit_orientation.main([str(OWN_PHOTOS.folder)]) == 2
    assert "at least 50 photos of either label are needed" in capsys.readouterr().err
