"""Step 9 for turned photos: those that seem to lie on their side or upside down are judged upright.

Models and heads are fitted on upright photos. In other orientations they call far more dogs cats;
docs/decisions/0002-the-score.md has the figures.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from checker.decision.orientation import Orientation, orientation_in
from checker.pixels.detail import detail_of
from checker.ports import Classifier
from checker.values import INPUTS_PER_PHOTO, Activations, Evidence, Floats, Pixels


def upright_evidence(activations: Activations, pixels: Pixels, classifier: Classifier) -> Evidence:
    """Group activations by photo; classify photos that seem turned in their most upright orientation, too.

    The thumbnail alone is examined in all four orientations. If another one looks more upright, the photo is
    classified in it; its result counts if the photo as a whole looks more upright by a margin, too.

    Args:
        activations: the result of ``classifier.run(pixels)``.
        pixels: uint8 ``(INPUTS_PER_PHOTO * N, S, S, 3)``: the inputs of each photo in turn.

    Raises:
        ClassifierFailed: the device failed.
    """
    evidence = unrotated_evidence(activations, pixels)
    orientation = orientation_in(classifier.model_info.versions)
    if orientation is None:
        return evidence
    log_odds = orientation.logits(evidence.features)
    suspects = np.flatnonzero(log_odds > orientation.turned_at)
    if not suspects.size:
        return evidence
    inputs = pixels.reshape(-1, INPUTS_PER_PHOTO, *pixels.shape[1:])[suspects]
    quarters = _most_upright(inputs[:, -1], evidence.features[suspects, -1], classifier, orientation)
    turned = quarters > 0
    if not turned.any():
        return evidence
    suspects, inputs, quarters = suspects[turned], inputs[turned], quarters[turned]
    rotated = np.concatenate([rotate(photo, number) for photo, number in zip(inputs, quarters, strict=True)])
    upright = unrotated_evidence(classifier.run(rotated), rotated)
    better = orientation.logits(upright.features) < log_odds[suspects] - orientation.margin
    photos = suspects[better]
    logits, features = evidence.logits.copy(), evidence.features.copy()
    turned_deg = evidence.turned_deg.copy()
    logits[photos], features[photos] = upright.logits[better], upright.features[better]
    turned_deg[photos] = 90 * quarters[better]
    return replace(evidence, logits=logits, features=features, turned_deg=turned_deg)


def _most_upright(
    thumbnails: Pixels, features: Floats, classifier: Classifier, orientation: Orientation
) -> npt.NDArray[np.int64]:
    """Return by how many quarters each thumbnail is to be rotated clockwise to look most upright.

    Args:
        thumbnails: ``(N, S, S, 3)``.
        features: ``(N, W, D)``, those of the thumbnails as they are.
    """
    rotated = classifier.run(np.concatenate([rotate(thumbnails, quarters) for quarters in (1, 2, 3)]))
    in_each = np.concatenate([features, rotated.features]).reshape(4, len(features), 1, *features.shape[1:])
    return np.asarray(orientation.logits(in_each).argmin(axis=0))


def unrotated_evidence(activations: Activations, pixels: Pixels) -> Evidence:
    """Group activations by photo, each as it is; the arguments are those of ``upright_evidence``."""
    thumbnails = pixels[INPUTS_PER_PHOTO - 1 :: INPUTS_PER_PHOTO]
    return Evidence.of(activations, [detail_of(square) for square in thumbnails])


def rotate(inputs: Pixels, quarters: int) -> Pixels:
    """Rotate squares ``(..., S, S, 3)`` clockwise by ``quarters`` times 90 degrees."""
    return np.ascontiguousarray(np.rot90(inputs, -quarters, axes=(-3, -2)))
