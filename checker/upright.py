"""Step 9 for turned photos: those that seem to lie on their side or upside down are judged upright.

Models and heads are fitted on upright photos. In other orientations they call dogs cats ten times as often;
docs/decisions/0002-the-score.md has the figures.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from checker.decision.orientation import orientation_of
from checker.pixels.detail import detail_of
from checker.ports import Classifier
from checker.values import INPUTS_PER_PHOTO, Activations, Evidence, Pixels


def upright_evidence(activations: Activations, pixels: Pixels, classifier: Classifier) -> Evidence:
    """Group activations by photo, and classify photos that seem turned in the other three orientations, too.

    The orientation that looks most upright counts.

    Args:
        activations: the result of ``classifier.run(pixels)``.
        pixels: uint8 ``(INPUTS_PER_PHOTO * N, S, S, 3)``: the inputs of each photo in turn.

    Raises:
        ClassifierFailed: the device failed.
        ModelRefused: the file of the model's orientation is damaged.
    """
    evidence = unrotated_evidence(activations, pixels)
    orientation = orientation_of(classifier.model_info.weights_sha256)
    if orientation is None:
        return evidence
    lowest = orientation.logits(evidence.features)
    turned = np.flatnonzero(lowest > orientation.turned_at)
    if not turned.size:
        return evidence
    logits, features = evidence.logits.copy(), evidence.features.copy()
    turned_deg = evidence.turned_deg.copy()
    inputs = pixels.reshape(-1, INPUTS_PER_PHOTO, *pixels.shape[1:])[turned]
    for quarters in (1, 2, 3):
        rotated = rotate(inputs, quarters).reshape(-1, *pixels.shape[1:])
        other = unrotated_evidence(classifier.run(rotated), rotated)
        other_logits = orientation.logits(other.features)
        better = other_logits < lowest[turned]
        photos = turned[better]
        lowest[photos] = other_logits[better]
        logits[photos], features[photos] = other.logits[better], other.features[better]
        turned_deg[photos] = 90 * quarters
    return replace(evidence, logits=logits, features=features, turned_deg=turned_deg)


def unrotated_evidence(activations: Activations, pixels: Pixels) -> Evidence:
    """Group activations by photo, each as it is; the arguments are those of ``upright_evidence``."""
    thumbnails = pixels[INPUTS_PER_PHOTO - 1 :: INPUTS_PER_PHOTO]
    return Evidence.of(activations, [detail_of(square) for square in thumbnails])


def rotate(inputs: Pixels, quarters: int) -> Pixels:
    """Rotate squares ``(..., S, S, 3)`` clockwise by ``quarters`` times 90 degrees."""
    return np.ascontiguousarray(np.rot90(inputs, -quarters, axes=(-3, -2)))
