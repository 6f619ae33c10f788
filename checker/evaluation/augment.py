"""Augmentations of labelled photos: soft photos, and photos with a small part of another photo.

Made from model inputs, not from files, so that an augmentation costs a forward pass and no decoding.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageFilter

from checker.values import Pixels

SOFT_AUGMENTATIONS = ("blurred", "tiny", "compressed", "dark")


def soft(inputs: Pixels, augmentation: str, generator: np.random.Generator) -> Pixels:
    """Return a photo's inputs as a soft photo would give them, uint8 ``(inputs, S, S, 3)``.

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
    """Return a photo's inputs with another photo, small, in one of the photo's ends.

    The paste covers a fifth to two thirds of the square, and lies at an edge as often as not.

    Args:
        inputs: of the photo that is the background.
        other: one square of the photo that is pasted, ``(S, S, 3)``.
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
