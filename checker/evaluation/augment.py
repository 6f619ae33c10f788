"""Augmentations of labelled photos: soft photos, and photos with a small part of another photo.

They are made from model inputs, not from files, so that an augmentation costs a forward pass but no decoding.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageFilter

from checker.evaluation.photos import NOT_CAT
from checker.values import Pixels

SOFT_AUGMENTATIONS = ("blurred", "tiny", "compressed", "dark")
SOFT, PASTED = "soft", "pasted"
AUGMENTATIONS = (SOFT, SOFT, PASTED)
"""The augmentations of each photo, in the order of ``augmented``."""
_SEED = 7
_BACKGROUNDS = 64


def background_rows(labels: Sequence[str]) -> list[int]:
    """Return the rows of the photos that other photos are pasted into: at most 64, without the subject.

    They are the same in all folds of a cross-validation, so a head that is judged on one of these photos has
    seen parts of it.
    """
    others = [row for row, label in enumerate(labels) if label == NOT_CAT]
    sample = np.random.default_rng(_SEED).permutation(len(others))[:_BACKGROUNDS]
    return [others[place] for place in sample]


def augmented(row: int, inputs: Pixels, backgrounds: Sequence[Pixels]) -> list[Pixels]:
    """Make the ``AUGMENTATIONS`` of a photo; every run and every process makes the same ones.

    Args:
        row: the photo's place in the set, from 0.
        backgrounds: the inputs of the photos of ``background_rows``.
    """
    generator = np.random.default_rng([_SEED, row])
    first, second = generator.permutation(len(SOFT_AUGMENTATIONS))[:2]
    background = backgrounds[int(generator.integers(len(backgrounds)))]
    return [
        soft(inputs, SOFT_AUGMENTATIONS[first], generator),
        soft(inputs, SOFT_AUGMENTATIONS[second], generator),
        pasted(background, inputs[-1], generator),
    ]


def soft(inputs: Pixels, augmentation: str, generator: np.random.Generator) -> Pixels:
    """Return a photo's inputs made soft, uint8 ``(inputs, S, S, 3)``.

    Args:
        augmentation: one of ``SOFT_AUGMENTATIONS``: out of focus (by 1/150 to 1/50 of the side), enlarged
            from 24 to 96 px, a JPEG of quality 8 to 30, or darkened to 8 to 25 %.
    """
    strength = generator.uniform()
    return np.stack([_soft(Image.fromarray(pixels), augmentation, strength) for pixels in inputs])


def _soft(image: Image.Image, augmentation: str, strength: float) -> Pixels:
    side = image.width
    match augmentation:
        case "blurred":
            image = image.filter(ImageFilter.GaussianBlur(side / (50 + 100 * strength)))
        case "tiny":
            small_px = int(24 * 4**strength)
            small = image.resize((small_px, small_px), Image.Resampling.BICUBIC, reducing_gap=2.0)
            image = small.resize((side, side), Image.Resampling.BICUBIC)
        case "compressed":
            file = io.BytesIO()
            image.save(file, "JPEG", quality=8 + int(23 * strength))
            image = Image.open(file)
        case _:
            image = image.point([int(value * (0.08 + 0.17 * strength)) for value in range(256)] * 3)
    return np.asarray(image, dtype=np.uint8)


def pasted(inputs: Pixels, other: Pixels, generator: np.random.Generator) -> Pixels:
    """Return a photo's inputs with another photo pasted small into one of the photo's two ends.

    The paste covers a fifth to two thirds of the square; half of the horizontal and of the vertical positions
    are at an edge.

    Args:
        inputs: inputs of the background photo.
        other: one square of the photo to paste, ``(S, S, 3)``.
    """
    side = inputs.shape[1]
    small_px = int(side * generator.uniform(0.2, 0.66) ** 0.5)
    small = np.asarray(Image.fromarray(other).resize((small_px, small_px), Image.Resampling.BICUBIC))
    left, top = ((side - small_px) * _place(generator) for _ in range(2))
    result = inputs.copy()
    result[generator.integers(2), int(top) : int(top) + small_px, int(left) : int(left) + small_px] = small
    return result


def _place(generator: np.random.Generator) -> float:
    place = generator.uniform()
    return float(round(place)) if generator.uniform() < 0.5 else place
