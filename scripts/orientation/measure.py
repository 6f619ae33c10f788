"""Measure labelled photos and their augmentations in all four orientations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from checker.decision.head import log_odds
from checker.decision.subject import Subject
from checker.evaluation.augment import AUGMENTATIONS, SOFT, augmented, background_rows
from checker.evaluation.examples import Examples
from checker.evaluation.measure import inputs_of, measure, photo_bar
from checker.evaluation.photos import WILD_FELINE, LabelledPhoto
from checker.ports import Classifier
from checker.upright import rotate
from checker.values import Floats

QUARTERS = (1, 2, 3)


@dataclass(frozen=True, slots=True, eq=False)
class Orientations:
    """Labelled photos without wild felines, with their augmentations."""

    examples: Examples
    """All of them, upright."""
    rotated: tuple[Examples, ...]
    """``upright`` rotated clockwise by 90, 180 and 270 degrees."""
    data: dict[str, Any]
    """Counts and digest of the photos."""
    upright: Examples
    """The photos and their soft augmentations."""


def measure_orientations(
    photos: Sequence[LabelledPhoto], classifier: Classifier, subject: Subject
) -> Orientations:
    """Run the model on every photo, which must be upright.

    The inputs of the upright photo are rotated. The two ends of a turned photo that is nearly square are
    other parts of it, so there the figures are those of a similar photo.

    Memory: up to 19 model outputs for each photo, 77 kB each with EfficientNet-Lite, 123 kB with ResNet-50.

    Raises:
        UnusablePhotos: names a photo that can't be read.
    """
    measured = measure(photos, classifier, augmented=True, rotated=False)
    examples, data = Examples.of(subject, measured), measured.data
    del measured  # as large as the examples
    upright = examples[examples.plain | (examples.augmentation == SOFT)]
    backgrounds = [
        inputs_of(photos[row], classifier) for row in background_rows([photo.label for photo in photos])
    ]
    plain: list[list[tuple[Any, Floats]]] = [[] for _ in QUARTERS]
    soft: list[list[tuple[Any, Floats]]] = [[] for _ in QUARTERS]
    with photo_bar(len(photos), classifier) as counting:
        for row, photo in enumerate(photos):
            counting.update()
            if photo.label == WILD_FELINE:
                continue
            inputs = inputs_of(photo, classifier)
            made = zip(augmented(row, inputs, backgrounds), AUGMENTATIONS, strict=True)
            variants = [inputs, *(pixels for pixels, augmentation in made if augmentation == SOFT)]
            for number, quarters in enumerate(QUARTERS):
                activations = classifier.run(np.concatenate([rotate(one, quarters) for one in variants]))
                odds = log_odds(activations.logits, subject).reshape(len(variants), len(inputs), -1)
                features = activations.features.reshape(
                    len(variants), len(inputs), *activations.features.shape[1:]
                )
                plain[number].append((odds[:1], features[:1]))
                soft[number].append((odds[1:], features[1:]))
    rotated = tuple(_rotated(upright, [*plain.pop(0), *soft.pop(0)]) for _ in QUARTERS)
    return Orientations(examples, rotated, data, upright)


def _rotated(upright: Examples, parts: Sequence[tuple[Any, Floats]]) -> Examples:
    odds, features = (np.concatenate(values) for values in zip(*parts, strict=True))
    return Examples(
        odds, features, upright.positive, upright.soft, upright.augmentation, upright.photo, upright.kinds
    )
